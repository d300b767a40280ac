"""Generators: one data type, several makers."""

from qdbjax.generators.davies import davies as davies
from qdbjax.generators.generator import Generator as Generator
from qdbjax.generators.given import lindblad as lindblad, pauli as pauli
from qdbjax.generators.low_density import low_density as low_density
from qdbjax.generators.scattering import Scattering as Scattering, scattering as scattering
from qdbjax.generators.universal import universal_lindblad as universal_lindblad
from qdbjax.generators.validity import Validity as Validity, validity as validity
