"""Generators: one data type, several makers."""

from qdbjax.generators.davies import davies as davies
from qdbjax.generators.generator import Generator as Generator
from qdbjax.generators.universal import universal_lindblad as universal_lindblad
from qdbjax.generators.validity import Validity as Validity, validity as validity
