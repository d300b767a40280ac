"""Models: systems of the literature, ready to couple, and machines that bring their baths."""

from qdbjax.models.chains import xxz_chain as xxz_chain
from qdbjax.models.dots import (
    double_dot as double_dot,
    quantum_dot as quantum_dot,
    spinful_dot as spinful_dot,
    three_dot_ring as three_dot_ring,
)
from qdbjax.models.machines import (
    Machine as Machine,
    absorption_refrigerator as absorption_refrigerator,
    heat_rectifier as heat_rectifier,
    heat_transistor as heat_transistor,
    three_level_maser as three_level_maser,
    three_qubit_refrigerator as three_qubit_refrigerator,
)
from qdbjax.models.qubits import qubit as qubit, three_level as three_level
