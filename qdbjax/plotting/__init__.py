"""Plots of sweeps and of generators; matplotlib is imported by the functions that draw."""

from qdbjax.plotting.fits import plot_fit as plot_fit
from qdbjax.plotting.flows import (
    plot_currents as plot_currents,
    plot_cycle as plot_cycle,
    plot_report as plot_report,
)
from qdbjax.plotting.levels import plot_levels as plot_levels
from qdbjax.plotting.lines import plot_lines as plot_lines
from qdbjax.plotting.map import plot_map as plot_map
