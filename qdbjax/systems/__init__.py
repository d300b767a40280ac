"""Systems: Hamiltonian, eigensystem, and the only decision on what counts as degenerate."""

from qdbjax.systems.system import (
    Spectrum as Spectrum,
    System as System,
    as_system as as_system,
    spectrum as spectrum,
)
