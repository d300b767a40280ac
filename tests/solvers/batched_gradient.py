"""Run by test_deadlock.py in a process of its own, with JAX's default settings: currents of a batch and gradients."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)


def main(batch: int, d: int, equal: int) -> None:
    """Print the norm of the gradients of a heat current with respect to H, one per random Hamiltonian.

    equal: how many of its levels have one energy.
    """
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.normal(size=(batch, d, d)) + 1j * rng.normal(size=(batch, d, d)))[0]
    energies = np.sort(rng.normal(size=(batch, d)), axis=1) * np.sqrt(d)
    energies[:, :equal] = energies[:, :1]
    matrices = (basis * energies[:, None, :]) @ np.swapaxes(basis.conj(), 1, 2)
    matrices = (matrices + np.swapaxes(matrices.conj(), 1, 2)) / 2

    def current(hamiltonian):
        hot = qdb.Bath(np.diag(np.linspace(-1, 1, d)), qdb.Ohmic(0.01, 10.0), temperature=1.0, name="hot")
        cold = qdb.Bath(np.eye(d, k=1) + np.eye(d, k=-1), qdb.Ohmic(0.01, 10.0), temperature=0.3, name="cold")
        generator = qdb.davies(qdb.System(hamiltonian), [hot, cold])
        return qdb.heat_currents(generator, qdb.steady_state(generator))[0]

    for function in (current, jax.grad(current)):
        program = jax.jit(jax.vmap(function))
        # Not every time did those programs hang that could.
        values = [program(jnp.asarray(matrices)) for _ in range(3)][-1]
    print("finite", bool(jnp.all(jnp.isfinite(values))), float(jnp.linalg.norm(values)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
