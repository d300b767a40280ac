"""Balance: whether a generator obeys detailed balance, which transitions break it, what flows and costs."""

from qdbjax.balance.cycles import (
    CycleAnalysis as CycleAnalysis,
    cycle_analysis as cycle_analysis,
    cycle_basis as cycle_basis,
)
from qdbjax.balance.inner_products import (
    GKSLDefects as GKSLDefects,
    SymmetryResiduals as SymmetryResiduals,
    adjoint_generator as adjoint_generator,
    gksl_defects as gksl_defects,
    inner_product as inner_product,
    symmetry_residuals as symmetry_residuals,
)
from qdbjax.balance.kms import KMSCheck as KMSCheck, kms_check as kms_check
from qdbjax.balance.micro_balance import (
    DominationBounds as DominationBounds,
    DynamicalBalance as DynamicalBalance,
    domination_bounds as domination_bounds,
    dynamical_balance as dynamical_balance,
    effective_inverse_temperatures as effective_inverse_temperatures,
)
from qdbjax.balance.pairwise import (
    EntropySplit as EntropySplit,
    entropy_split as entropy_split,
    pair_energy_currents as pair_energy_currents,
    probability_currents as probability_currents,
    thermalization_conditions as thermalization_conditions,
    violation_ratios as violation_ratios,
)
from qdbjax.balance.report import BalanceReport as BalanceReport, balance_report as balance_report
