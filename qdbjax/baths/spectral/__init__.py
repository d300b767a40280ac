"""Spectral densities: J(ω) from formulas, tables, callables and sums of them."""

from qdbjax.baths.spectral.abstract import (
    AbstractSpectralDensity as AbstractSpectralDensity,
    Custom as Custom,
    Sum as Sum,
    as_spectral_density as as_spectral_density,
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
