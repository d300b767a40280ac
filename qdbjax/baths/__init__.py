"""Baths: spectral densities, temperature, noise spectrum with KMS built in."""

from qdbjax.baths.abstract import AbstractBath as AbstractBath, map_stacked as map_stacked
from qdbjax.baths.bath import Bath as Bath
from qdbjax.baths.correlation import bath_correlation as bath_correlation, memory_time as memory_time
from qdbjax.baths.exchange import Field as Field, Lead as Lead
from qdbjax.baths.gas import Gas as Gas
from qdbjax.baths.lamb_shift import (
    lamb_error as lamb_error,
    lamb_matrix as lamb_matrix,
    noise_roots as noise_roots,
    shared_lamb_shift as shared_lamb_shift,
    value_and_slope_at_level as value_and_slope_at_level,
)
from qdbjax.baths.noise_integrals import is_inaccurate as is_inaccurate
from qdbjax.baths.spectral.abstract import (
    AbstractSpectralDensity as AbstractSpectralDensity,
    Custom as Custom,
    Sum as Sum,
)
from qdbjax.baths.spectral.formulas import (
    Algebraic as Algebraic,
    DrudeLorentz as DrudeLorentz,
    Flat as Flat,
    LorentzianBand as LorentzianBand,
    Ohmic as Ohmic,
    PowerLaw as PowerLaw,
    UnderdampedLorentzian as UnderdampedLorentzian,
)
from qdbjax.baths.spectral.tabulated import Tabulated as Tabulated
from qdbjax.baths.temperature import LocalTemperature as LocalTemperature
