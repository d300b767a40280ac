"""Baths: spectral densities, temperature, noise spectrum with KMS built in."""

from qdbjax.baths.bath import Bath as Bath
from qdbjax.baths.spectral_density import (
    AbstractSpectralDensity as AbstractSpectralDensity,
    Algebraic as Algebraic,
    Custom as Custom,
    DrudeLorentz as DrudeLorentz,
    Flat as Flat,
    Ohmic as Ohmic,
    PowerLaw as PowerLaw,
    Sum as Sum,
    Tabulated as Tabulated,
    UnderdampedLorentzian as UnderdampedLorentzian,
)
