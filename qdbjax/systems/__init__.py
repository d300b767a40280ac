"""Systems and their Bohr spectrum; the only room that decides degeneracy."""

from qdbjax.systems.spectrum import Spectrum as Spectrum, diagonalize as diagonalize
from qdbjax.systems.system import System as System, as_system as as_system
