"""Generators: one data type, several makers."""

from qdbjax.generators.davies_equation import davies as davies
from qdbjax.generators.generator import Generator as Generator
from qdbjax.generators.lindblad_equation import lindblad as lindblad
from qdbjax.generators.low_density_equation import low_density as low_density
from qdbjax.generators.pauli_equation import pauli as pauli
from qdbjax.generators.scattering_matrix import Scattering as Scattering, scattering as scattering
from qdbjax.generators.universal_equation import universal_lindblad as universal_lindblad
