"""Models: systems of the literature, ready to couple."""

from qdbjax.models.zoo import (
    double_dot as double_dot,
    quantum_dot as quantum_dot,
    qubit as qubit,
    spinful_dot as spinful_dot,
    three_dot_ring as three_dot_ring,
    three_level as three_level,
    xxz_chain as xxz_chain,
)
