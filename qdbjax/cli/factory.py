"""From the tables of a run file to a generator; numbers may be tracers."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from qdbjax import baths, models
from qdbjax.cli.errors import InputError
from qdbjax.generators import Generator, davies
from qdbjax.operators import embed, sigma_x, sigma_y, sigma_z, site, transition
from qdbjax.systems import System

DENSITIES: dict[str, Callable] = {
    "ohmic": baths.Ohmic,
    "power_law": baths.PowerLaw,
    "drude_lorentz": baths.DrudeLorentz,
    "algebraic": baths.Algebraic,
    "underdamped_lorentzian": baths.UnderdampedLorentzian,
    "flat": baths.Flat,
    "tabulated": baths.Tabulated,
}
MODELS: dict[str, Callable] = {
    "three_dot_ring": models.three_dot_ring,
    "qubit": models.qubit,
    "three_level": models.three_level,
    "xxz_chain": models.xxz_chain,
}
PAULI = {"x": sigma_x, "y": sigma_y, "z": sigma_z}


def parts_of(tree: dict) -> tuple[System, list[baths.Bath]]:
    """System and baths. Raises InputError with the section and what its class says."""
    try:
        system = _system(dict(tree["system"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"system: {error}") from None
    found = []
    for name, table in tree["baths"].items():
        try:
            coupling = operator_of(table["coupling"], tree["system"]["model"], system.dimension)
            density = _density(dict(table["spectral_density"]))
            found.append(baths.Bath(coupling, density, temperature=table["temperature"], name=name))
        except (ValueError, TypeError) as error:
            raise InputError(f"baths.{name}: {error}") from None
    return system, found


def generator_of(tree: dict) -> Generator:
    """The Davies generator of system and baths."""
    return davies(*parts_of(tree))


def _system(table: dict) -> System:
    model = table.pop("model")
    if model != "custom":
        return MODELS[model](**table)
    hamiltonian = jnp.asarray(np.asarray(table["hamiltonian"]))
    for name, term in table["terms"].items():
        matrix = np.asarray(term["matrix"])
        if matrix.shape != hamiltonian.shape:
            raise ValueError(f"terms.{name}.matrix must have shape {hamiltonian.shape}; got {matrix.shape}.")
        dtype = np.promote_types(hamiltonian.dtype, np.promote_types(matrix.dtype, jnp.asarray(0.0).dtype))
        scaled = jnp.asarray(term["coefficient"]).astype(dtype) * jnp.asarray(matrix).astype(dtype)
        hamiltonian = hamiltonian.astype(dtype) + scaled
    return System(hamiltonian)


def _density(table: dict) -> baths.AbstractSpectralDensity:
    kind = table.pop("kind")
    if kind == "sum":
        return baths.Sum(*(_density(dict(part)) for part in table["parts"]))
    return DENSITIES[kind](**table)


def operator_of(table: dict[str, Any], model: str, levels: int) -> np.ndarray:
    """The operator that a table {site}, {pauli, site}, {transition} or {matrix} stands for."""
    if table["matrix"] is not None:
        return np.asarray(table["matrix"])
    if table["transition"] is not None:
        to, origin = table["transition"]
        operator = transition(to, origin, levels)
        return operator if to == origin else operator + operator.T
    if table["pauli"] is None:
        if model == "xxz_chain":
            raise ValueError('coupling on a spin chain needs a Pauli matrix: {pauli = "x", site = 0}')
        return site(table["site"], levels)
    spins = levels.bit_length() - 1
    if 2**spins != levels:
        raise ValueError(f"coupling {{pauli}} needs a system of spins; this one has {levels} levels")
    return embed(PAULI[table["pauli"]](), table["site"] or 0, [2] * spins)
