"""From the tables of a run file to a generator; numbers may be tracers."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from qdbjax.baths import AbstractBath, AbstractSpectralDensity, Gas
from qdbjax.cli.errors import InputError
from qdbjax.cli.registry import BATHS, DENSITIES, MACHINES, MAKERS, MODELS
from qdbjax.generators import Generator
from qdbjax.operators import embed, fermion_destroy, sigma_minus, sigma_x, sigma_y, sigma_z, site, transition
from qdbjax.systems import System

PAULI = {"x": sigma_x, "y": sigma_y, "z": sigma_z}
Baths = tuple[AbstractBath | Gas, ...]


def parts_of(tree: dict) -> tuple[System, Baths]:
    """System and baths, those of a machine first. Raises InputError with the section and what its class says."""
    try:
        system, baths = _system(dict(tree["system"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"system: {error}") from None
    for name, table in tree["baths"].items():
        if name in [bath.name for bath in baths]:
            raise InputError(f"baths.{name}: {tree['system']['model']} has a bath of this name; choose another")
        try:
            bath = _bath(name, table, tree["system"]["model"], system.dimension)
        except (ValueError, TypeError) as error:
            raise InputError(f"baths.{name}: {error}") from None
        if bath.dimension != system.dimension:
            sizes = f"dimension {bath.dimension}, and the system has {system.dimension} levels"
            raise InputError(f"baths.{name}: couples to {sizes}")
        if baths and isinstance(bath, Gas) != isinstance(baths[0], Gas):
            raise InputError(f"baths.{name}: gases and baths of other kinds cannot be mixed")
        baths = (*baths, bath)
    return system, baths


def generator_of(tree: dict) -> Generator:
    """The generator of system and baths that the file asks for; by default Davies', for gases the low-density limit."""
    system, baths = parts_of(tree)
    of_gases = isinstance(baths[0], Gas)
    options = dict(tree["generator"] or {"kind": "low_density" if of_gases else "davies"})
    kind = options.pop("kind")
    if of_gases != (kind == "low_density"):
        raise InputError(f"generator.kind: {kind!r} is not for {'gases' if of_gases else 'baths of this kind'}")
    return MAKERS[kind](system, baths, **options)


def _system(table: dict) -> tuple[System, Baths]:
    model = table.pop("model")
    if model in MACHINES:
        return MACHINES[model](**table)
    if model != "custom":
        return MODELS[model](**table), ()
    hamiltonian = np.asarray(table["hamiltonian"])  # NumPy: its levels are known while a program is made
    for name, term in table["terms"].items():
        matrix = np.asarray(term["matrix"])
        if matrix.shape != hamiltonian.shape:
            raise ValueError(f"terms.{name}.matrix must have shape {hamiltonian.shape}; got {matrix.shape}.")
        dtype = np.promote_types(hamiltonian.dtype, np.promote_types(matrix.dtype, jnp.asarray(0.0).dtype))
        scaled = jnp.asarray(term["coefficient"]).astype(dtype) * jnp.asarray(matrix).astype(dtype)
        hamiltonian = hamiltonian.astype(dtype) + scaled
    return System(hamiltonian), ()


def _bath(name: str, table: dict, model: str, levels: int) -> AbstractBath | Gas:
    given = {key: value for key, value in table.items() if value is not None and key != "kind"}
    for key in ("coupling", "removal", "potential"):
        if key in given:
            given[key] = _operators(given[key], model, levels, hermitian=key != "removal")
    if "spectral_density" in given:
        given["spectral_density"] = _density(dict(given["spectral_density"]))
    return BATHS[table["kind"]](**given, name=name)


def _density(table: dict) -> AbstractSpectralDensity:
    density = DENSITIES[table.pop("kind")]
    if "parts" in table:
        return density(*(_density(dict(part)) for part in table["parts"]))
    return density(**table)


def _operators(given: dict | list, model: str, levels: int, *, hermitian: bool) -> np.ndarray:
    """The operator of a table or a bare matrix, or the operators of several tables (k, d, d)."""
    if isinstance(given, dict):
        return operator_of(given, model, levels, hermitian=hermitian)
    if not isinstance(given[0], dict):
        return np.asarray(given)
    operators = [operator_of(each, model, levels, hermitian=hermitian) for each in given]
    for n, operator in enumerate(operators):
        if operator.shape != (levels, levels):
            raise ValueError(f"matrix of operator {n} must have shape {(levels, levels)}; got {operator.shape}.")
    return np.stack(operators)


def operator_of(table: dict[str, Any], model: str, levels: int, *, hermitian: bool = True) -> np.ndarray:
    """The operator (levels, levels) that a table stands for.

    hermitian: whether a transition is |m⟩⟨n| + h.c. or |m⟩⟨n| alone.
    """
    if table["matrix"] is not None:
        return np.asarray(table["matrix"])
    if table["transition"] is not None:
        to, origin = table["transition"]
        operator = transition(to, origin, levels)
        return operator + operator.T if hermitian and to != origin else operator
    if table["fermion_destroy"] is not None:
        return fermion_destroy(table["fermion_destroy"], _factors(levels, "fermion_destroy", "fermionic modes"))
    if table["lower"] is not None:
        return embed(sigma_minus(), table["lower"], [2] * _factors(levels, "lower", "spins"))
    if table["pauli"] is not None:
        return embed(PAULI[table["pauli"]](), table["site"] or 0, [2] * _factors(levels, "pauli", "spins"))
    if model == "xxz_chain":
        raise ValueError('coupling on a spin chain needs a Pauli matrix: {pauli = "x", site = 0}')
    return site(table["site"], levels)


def _factors(levels: int, key: str, what: str) -> int:
    """How many factors of dimension two make up the system."""
    count = levels.bit_length() - 1
    if 2**count != levels:
        raise ValueError(f"coupling {{{key}}} needs a system of {what}; this one has {levels} levels")
    return count
