"""What users compile: one scalar program for each public function that computes, for any dimension.

Each is a function of x = (scale of the Hamiltonian, T of the hot bath): a Hamiltonian that is not known while the
program is traced, two baths that differ in numbers only.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

POINT = np.array([1.1, 0.8])


def _random(d: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(d, d))
    return matrix + matrix.T


def generator(x, d: int, maker: Callable = qdb.davies):
    """Two Ohmic baths on d levels."""
    hamiltonian = x[0] * jnp.asarray(np.diag(np.arange(d) ** 1.1) + 0.1 * _random(d, 1))
    baths = [
        qdb.Bath(_random(d, 2 + n), qdb.Ohmic(0.01, 10.0), temperature=temperature, name=str(n))
        for n, temperature in enumerate((x[1], 0.5))
    ]
    return maker(hamiltonian, baths)


def _start(d: int) -> np.ndarray:
    return np.eye(d) / d


def _given_jumps(x, d):
    return qdb.lindblad(x[0] * jnp.asarray(_random(d, 1)), [x[1] * jnp.asarray(_random(d, 2)), _random(d, 3)])


def _gas(x, d):
    potential = jnp.asarray(_random(d, 4) + 4 * np.sqrt(d) * np.eye(d))
    return qdb.low_density(x[0] * jnp.asarray(_random(d, 1)), qdb.Gas(potential, temperature=x[1]))


def _steady(read: Callable) -> Callable:
    def of(x, d):
        made = generator(x, d)
        return read(made, qdb.steady_state(made))

    return of


# name: (x, d) ↦ an array
PROGRAMS = {
    "steady_state": _steady(lambda made, steady: steady.populations),
    "heat_currents": _steady(qdb.heat_currents),
    "micro_currents": _steady(qdb.micro_currents),
    "entropy_production": _steady(qdb.entropy_production),
    "cumulants": _steady(lambda made, steady: qdb.cumulants(made, steady, "0", order=2)),
    "noise_matrix": _steady(qdb.thermodynamics.noise_matrix),
    "onsager_matrix": lambda x, d: qdb.onsager_matrix(generator(x, d)),
    "dynamical_balance": _steady(lambda made, steady: qdb.balance.dynamical_balance(made, steady).balance),
    "symmetry_residuals": _steady(lambda made, steady: qdb.balance.symmetry_residuals(made, steady).total),
    "evolve": lambda x, d: qdb.evolve(generator(x, d), _start(d), np.array([1.0, 5.0])).populations,
    "asymptotic_state": lambda x, d: qdb.asymptotic_state(generator(x, d), _start(d)).populations,
    "decay_rates": lambda x, d: qdb.decay_rates(generator(x, d)),
    "lamb_shift": lambda x, d: generator(x, d, lambda h, baths: qdb.davies(h, baths, lamb_shift=True)).lamb_shift.real,
    "universal_lindblad": lambda x, d: qdb.steady_state(generator(x, d, qdb.universal_lindblad)).populations,
    "lindblad": lambda x, d: qdb.steady_state(_given_jumps(x, d)).populations,
    "low_density": lambda x, d: qdb.steady_state(_gas(x, d)).populations,
    "gibbs": lambda x, d: qdb.gibbs(generator(x, d).system.hamiltonian, temperature=x[1]).density_matrix.real,
}


def scalar(name: str, d: int) -> Callable:
    """The program as a number of x."""
    return lambda x: jnp.sum(PROGRAMS[name](x, d) ** 2)


def lowered(name: str, d: int, mode: str) -> jax.stages.Lowered:
    """The program before XLA, of the value or of its gradient by reverse mode."""
    function = scalar(name, d)
    return jax.jit(jax.grad(function) if mode == "gradient" else function).lower(POINT)


def instructions(program: jax.stages.Lowered) -> int:
    """Instructions that XLA is given."""
    return program.as_text().count(" = ")


def compiled_instructions(program: jax.stages.Lowered) -> dict[str, int]:
    """Instructions and fusions that XLA makes code for (a producer counts in every fusion that repeats it)."""
    text = program.compile().as_text()
    return {"instructions": text.count(" = "), "fusions": text.count(" fusion(")}
