"""Couplings for the largest loop current
======================================

Found by gradient ascent at a given temperature. Two equal couplings restore detailed balance, and so do three weak
ones: of the best, one is as large and one as small as it may be (5 and 0.1), and the third lies between.

Run `python examples/08_largest_loop_current.py [FOLDER]`.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TEMPERATURE, STEPS = 0.5, 300
LOWEST, HIGHEST = np.log(0.1), np.log(5.0)


def loop_current(logarithms):
    """K at flux 3/4 for couplings V_n = e^{logarithm}, one for each dot."""
    system = qdb.models.three_dot_ring(tunneling=-0.5 / np.sqrt(3), flux=0.75)
    gas = qdb.Gas(jnp.diag(jnp.exp(logarithms)), temperature=TEMPERATURE, density=1.0, mass=1.0)
    return qdb.balance.probability_currents(qdb.low_density(system, gas))[1, 2]


@jax.jit
def ascend(start):
    """Adam in one compiled scan: the couplings and the current of every step."""
    optimizer = optax.adam(0.05)

    def step(carry, _):
        x, state = carry
        current, slope = jax.value_and_grad(loop_current)(x)
        update, state = optimizer.update(-slope / jnp.abs(current), state)
        moved = jnp.asarray(optax.apply_updates(x, update))
        return (jnp.clip(moved, LOWEST, HIGHEST), state), (x, current)

    return jax.lax.scan(step, (start, optimizer.init(start)), None, length=STEPS)[1]


def main(folder: pathlib.Path) -> None:
    """From the couplings of the paper to a maximum."""
    path, currents = ascend(jnp.log(jnp.asarray([1.0, 0.7, 1.5])))
    slope = jax.jit(jax.grad(loop_current))(path[-1])
    inside = (path[-1] > LOWEST) & (path[-1] < HIGHEST)
    best = np.array2string(np.exp(np.asarray(path[-1])), precision=4)
    print(f"loop current {float(currents[0]):.3e} -> {float(currents[-1]):.3e} at V = {best}")
    print(
        f"slope of what is inside its bounds {float(jnp.abs(slope * inside).max() / currents[-1]):.0e} of the current"
    )
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(5.4, 5.6), layout="constrained")
    upper.plot(1e3 * currents)
    upper.set(ylabel="loop current × 10³")
    lower.plot(np.exp(path), label=[f"dot {n}" for n in range(3)])
    lower.set(xlabel="step", ylabel="coupling V")
    lower.legend(frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "08_largest_loop_current.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
