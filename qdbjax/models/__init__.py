"""Models: systems of the literature, ready to couple."""

from qdbjax.models.zoo import (
    qubit as qubit,
    three_dot_ring as three_dot_ring,
    three_level as three_level,
    xxz_chain as xxz_chain,
)
