"""Balance: whether the rates of a generator obey detailed balance, which transitions break it, what flows and costs."""

from qdbjax.balance.violation import (
    EntropySplit as EntropySplit,
    entropy_split as entropy_split,
    pair_heat_currents as pair_heat_currents,
    probability_currents as probability_currents,
    thermalization_conditions as thermalization_conditions,
    violation_ratios as violation_ratios,
)
