"""Baths: spectral densities, temperature, noise spectrum with KMS built in."""

from qdbjax.baths.abstract import AbstractBath as AbstractBath, of_each as of_each
from qdbjax.baths.bath import Bath as Bath
from qdbjax.baths.correlation import bath_correlation as bath_correlation, memory_time as memory_time
from qdbjax.baths.densities import (
    Algebraic as Algebraic,
    DrudeLorentz as DrudeLorentz,
    Flat as Flat,
    LorentzianBand as LorentzianBand,
    Ohmic as Ohmic,
    PowerLaw as PowerLaw,
    Tabulated as Tabulated,
    UnderdampedLorentzian as UnderdampedLorentzian,
)
from qdbjax.baths.exchange import Field as Field, Lead as Lead
from qdbjax.baths.gas import Gas as Gas
from qdbjax.baths.lamb_shift import (
    lamb_matrix as lamb_matrix,
    noise_roots as noise_roots,
    shared_lamb_shift as shared_lamb_shift,
    with_slope as with_slope,
)
from qdbjax.baths.spectral_density import (
    AbstractSpectralDensity as AbstractSpectralDensity,
    Custom as Custom,
    Sum as Sum,
)
from qdbjax.baths.temperature import LocalTemperature as LocalTemperature
