"""The front door: what is listed here is imported when it is first used."""

from . import (
    balance as balance,
    baths as baths,
    compilation as compilation,
    fitting as fitting,
    interop as interop,
    models as models,
    plotting as plotting,
    solvers as solvers,
    states as states,
    sweeps as sweeps,
    thermodynamics as thermodynamics,
)
from ._status import Status as Status, explain as explain
from .balance import balance_report as balance_report
from .baths import (
    Bath as Bath,
    DrudeLorentz as DrudeLorentz,
    Field as Field,
    Flat as Flat,
    Gas as Gas,
    Lead as Lead,
    Ohmic as Ohmic,
    PowerLaw as PowerLaw,
    Tabulated as Tabulated,
    UnderdampedLorentzian as UnderdampedLorentzian,
)
from .fitting import fit as fit
from .generators import (
    Generator as Generator,
    davies as davies,
    lindblad as lindblad,
    low_density as low_density,
    pauli as pauli,
    scattering as scattering,
    universal_lindblad as universal_lindblad,
)
from .operators import (
    basis_state as basis_state,
    create as create,
    destroy as destroy,
    embed as embed,
    fermion_destroy as fermion_destroy,
    partial_trace as partial_trace,
    sigma_minus as sigma_minus,
    sigma_plus as sigma_plus,
    sigma_x as sigma_x,
    sigma_y as sigma_y,
    sigma_z as sigma_z,
    site as site,
    transition as transition,
)
from .plotting import (
    plot_fit as plot_fit,
    plot_levels as plot_levels,
    plot_lines as plot_lines,
    plot_map as plot_map,
)
from .solvers import (
    AsymptoticState as AsymptoticState,
    Evolution as Evolution,
    SteadyState as SteadyState,
    asymptotic_state as asymptotic_state,
    correlation as correlation,
    correlation_spectrum as correlation_spectrum,
    decay_rates as decay_rates,
    evolve as evolve,
    propagator as propagator,
    relaxation as relaxation,
    steady_state as steady_state,
)
from .states import (
    State as State,
    expect as expect,
    fidelity as fidelity,
    generalized_gibbs as generalized_gibbs,
    gibbs as gibbs,
    mean_force as mean_force,
    relative_entropy as relative_entropy,
    trace_distance as trace_distance,
    von_neumann_entropy as von_neumann_entropy,
)
from .sweeps import sweep as sweep
from .systems import System as System
from .thermodynamics import (
    cumulants as cumulants,
    energy_currents as energy_currents,
    entropy_production as entropy_production,
    heat_currents as heat_currents,
    micro_currents as micro_currents,
    onsager_matrix as onsager_matrix,
    particle_currents as particle_currents,
    validity as validity,
)

__version__: str
