"""Run by test_deadlock.py in a process of its own, with JAX's default settings: gradients of a batch at d = 16."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)


def main(batch: int, d: int) -> None:
    """Print the norm of the gradients of a heat current with respect to H, one per random Hamiltonian."""
    rng = np.random.default_rng(5)
    matrices = rng.normal(size=(batch, d, d)) + 1j * rng.normal(size=(batch, d, d))
    matrices = (matrices + np.swapaxes(matrices.conj(), 1, 2)) / 2

    def current(hamiltonian):
        hot = qdb.Bath(qdb.site(0, d), qdb.Ohmic(0.01, 10.0), temperature=1.0, name="hot")
        cold = qdb.Bath(qdb.site(1, d), qdb.Ohmic(0.01, 10.0), temperature=0.3, name="cold")
        generator = qdb.davies(qdb.System(hamiltonian), [hot, cold])
        return qdb.heat_currents(generator, qdb.steady_state(generator))[0]

    gradients = jax.jit(jax.vmap(jax.grad(current)))(jnp.asarray(matrices))
    print("finite", bool(jnp.all(jnp.isfinite(gradients))), float(jnp.linalg.norm(gradients)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
