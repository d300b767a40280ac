"""What users nest: readings of two levels as numbers of two parameters, and orders of JAX's transformations.

Every order gives values, gradients or Hessians at three points; they are compared with a plain loop and with
differences of it.
"""

import dataclasses
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from reference.differences import STENCIL, slope_of

import qdbjax as qdb

# Scale of the energies, temperature of one of two baths.
POINTS = np.array([[1.1, 0.8], [0.9, 1.3], [1.4, 0.6]])
STEP = 2e-3
START = np.array([[0.7, 0.2 - 0.1j], [0.2 + 0.1j, 0.3]])
TIMES = np.array([0.5, 2.0])
OTHER = np.array([[0.3, 1.0], [1.0, -0.2]])
POTENTIAL = np.array([[1.0, 0.4], [0.4, 0.7]])


def number(array):
    """A number that every entry of an array has a part in."""
    array = jnp.asarray(array).reshape(-1)
    both = jnp.concatenate([jnp.real(array), jnp.imag(array)]) if jnp.iscomplexobj(array) else array
    return jnp.sum(jnp.cos(jnp.arange(1.0, 1 + both.shape[0])) * both)


def hamiltonian(x):
    """Two levels; both their distance and their basis move with x."""
    return 0.5 * x[0] * qdb.sigma_z() + 0.2 * x[0] ** 2 * qdb.sigma_x()


def generator(x, maker=qdb.davies, time=0.0):
    """Two baths, the first warmer in time."""
    hot = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 5.0), temperature=x[1] + 0.1 * time, name="hot")
    cold = qdb.Bath(qdb.sigma_y() + OTHER, qdb.DrudeLorentz(0.03, 4.0), temperature=0.5, name="cold")
    return maker((1 + 0.2 * time) * hamiltonian(x), [hot, cold])


def steady(read, maker=qdb.davies):
    """A reading of the stationary state."""

    def of(x):
        made = generator(x, maker)
        return read(made, qdb.steady_state(made))

    return of


def evolved(protocol=False, jump=False):
    """The state, and along a protocol heat and work, at two times."""

    def of(x, mode="reverse"):
        def at(time):
            if jump:
                time = time + jnp.where(time > x[1], 0.5, 0.0)
            return generator(x, time=time)

        given = at if protocol else generator(x)
        found = qdb.evolve(given, START, TIMES, mode=mode, rtol=1e-10, breakpoints=[x[1]] if jump else None)
        account = jnp.concatenate([found.account.heat.reshape(-1), found.account.work]) if protocol else jnp.zeros(1)
        rho = found.density_matrix.reshape(-1)
        return jnp.concatenate([jnp.real(rho), jnp.imag(rho), account])

    of.integrates = True
    return of


def low_density(x):
    """Populations and particles' heat in a gas."""
    made = qdb.low_density(hamiltonian(x), qdb.Gas(POTENTIAL, temperature=x[1]))
    return qdb.steady_state(made).populations


def lindblad(x):
    """Given jump operators."""
    jumps = [x[1] * qdb.sigma_minus(), OTHER]
    return qdb.steady_state(qdb.lindblad(hamiltonian(x), jumps)).density_matrix


READERS: dict[str, Callable] = {
    "davies": lambda x: generator(x).rates,
    "steady_state": steady(lambda made, state: state.density_matrix),
    "heat_currents": steady(qdb.heat_currents),
    "micro_currents": steady(qdb.micro_currents),
    "entropy_production": steady(qdb.entropy_production),
    "cumulants": steady(lambda made, state: qdb.cumulants(made, state, "hot", order=2)),
    "onsager_matrix": lambda x: qdb.onsager_matrix(generator(x)),
    "asymptotic_state": lambda x: qdb.asymptotic_state(generator(x), START).density_matrix,
    "correlation": lambda x: qdb.correlation(generator(x), None, qdb.sigma_x(), OTHER, TIMES),
    "propagator": lambda x: qdb.propagator(generator(x), 1.5),
    "decay_rates": lambda x: qdb.decay_rates(generator(x)),
    "davies, Lamb shift": lambda x: generator(x, lambda h, b: qdb.davies(h, b, lamb_shift=True)).lamb_shift,
    "universal_lindblad": steady(lambda made, state: state.density_matrix, qdb.universal_lindblad),
    "lindblad": lindblad,
    "low_density": low_density,
    "gibbs": lambda x: qdb.gibbs(hamiltonian(x), temperature=x[1]).density_matrix,
    "relative_entropy": steady(lambda made, state: qdb.relative_entropy(START, state.density_matrix)),
    "evolve": evolved(),
    "evolve, protocol": evolved(protocol=True),
    "evolve, breakpoints": evolved(protocol=True, jump=True),
}


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of transformations: f ↦ its answer at POINTS.

    degree: 0 for values, 1 for gradients, 2 for Hessians, one at every point unless summed over them. forward: whether
    it takes derivatives in forward mode, for which evolve is told so.
    """

    apply: Callable
    degree: int
    forward: bool = False
    summed: bool = False


def _scanned(function, points):
    """The answers of function, one after another."""
    return jax.lax.scan(lambda carry, x: (carry, function(x)), 0.0, points)[1]


def _twice(f):
    """Σ over the points, in a scan of two steps, each of them over all points at once."""

    def total(shift):
        return jnp.sum(_scanned(lambda n: jax.vmap(f)(POINTS + shift[None] + 0 * n), jnp.zeros(2))) / 2

    return total


def _sum(f, inner):
    """x ↦ Σ f(point + x), by an inner transformation of f over points."""
    return lambda shift: jnp.sum(inner(f, POINTS + shift[None]))


ZERO = np.zeros(2)
vmapped = lambda f, points: jax.vmap(f)(points)  # noqa: E731
ORDERS = {
    "jit": Order(lambda f: jnp.stack([jax.jit(f)(x) for x in POINTS]), 0),
    "jit(vmap)": Order(lambda f: jax.jit(jax.vmap(f))(POINTS), 0),
    "jit(scan)": Order(lambda f: jax.jit(lambda p: _scanned(f, p))(POINTS), 0),
    "jit(vmap(scan))": Order(lambda f: jax.jit(jax.vmap(lambda p: _scanned(f, p)))(POINTS[:, None])[:, 0], 0),
    "vmap(jit(grad))": Order(lambda f: jax.vmap(jax.jit(jax.grad(f)))(POINTS), 1),
    "vmap(grad(jit))": Order(lambda f: jax.vmap(jax.grad(jax.jit(f)))(POINTS), 1),
    "jit(grad(vmap))": Order(lambda f: jax.jit(jax.grad(_sum(f, vmapped)))(ZERO), 1, summed=True),
    "jit(scan(grad))": Order(lambda f: jax.jit(lambda p: _scanned(jax.grad(f), p))(POINTS), 1),
    "jit(grad(scan))": Order(lambda f: jax.jit(jax.grad(_sum(f, _scanned)))(ZERO), 1, summed=True),
    "jit(grad(scan(vmap)))": Order(lambda f: jax.jit(jax.grad(_twice(f)))(ZERO), 1, summed=True),
    "jit(grad(scan(checkpoint)))": Order(
        lambda f: jax.jit(jax.grad(_sum(jax.checkpoint(f), _scanned)))(ZERO), 1, summed=True
    ),
    "jit(grad(vmap(scan)))": Order(
        lambda f: jax.jit(jax.grad(lambda s: jnp.sum(jax.vmap(lambda p: _scanned(f, p))((POINTS + s[None])[:, None]))))(
            ZERO
        ),
        1,
        summed=True,
    ),
    "jit(vmap(grad(checkpoint)))": Order(lambda f: jax.jit(jax.vmap(jax.grad(jax.checkpoint(f))))(POINTS), 1),
    "jit(vmap(jacfwd))": Order(lambda f: jax.jit(jax.vmap(jax.jacfwd(f)))(POINTS), 1, forward=True),
    "jit(jacfwd(scan(vmap)))": Order(lambda f: jax.jit(jax.jacfwd(_twice(f)))(ZERO), 1, forward=True, summed=True),
    "jit(vmap(jacfwd(jacfwd)))": Order(lambda f: jax.jit(jax.vmap(jax.jacfwd(jax.jacfwd(f))))(POINTS), 2, forward=True),
    "jit(vmap(jacfwd(jacrev)))": Order(lambda f: jax.jit(jax.vmap(jax.hessian(f)))(POINTS), 2),
    "jit(vmap(jacrev(jacfwd)))": Order(lambda f: jax.jit(jax.vmap(jax.jacrev(jax.jacfwd(f))))(POINTS), 2, forward=True),
    "jit(vmap(jacrev(jacrev)))": Order(lambda f: jax.jit(jax.vmap(jax.jacrev(jax.jacrev(f))))(POINTS), 2),
    "jit(jacfwd(grad(scan(vmap))))": Order(lambda f: jax.jit(jax.hessian(_twice(f)))(ZERO), 2, summed=True),
}


def scalar(name, order):
    """A reading as a number, in the mode of differentiation that an order asks for."""
    reader = READERS[name]
    if getattr(reader, "integrates", False):
        mode = "forward" if order.forward else "reverse"
        return lambda x: number(reader(x, mode=mode))
    return lambda x: number(reader(x))


def by_differences(name):
    """Values (point,), gradients (point, 2), Hessians (point, 2, 2), by a loop over points and steps."""
    program = jax.jit(scalar(name, ORDERS["jit"]))
    axis, steps = [-2, -1, 0, 1, 2], {}
    for i in axis:
        for j in axis:
            steps[i, j] = np.array([program(x + STEP * np.array([i, j])) for x in POINTS])
    first = lambda at: slope_of([at(n) for n in STENCIL], STEP)  # noqa: E731
    gradient = np.stack([first(lambda n: steps[n, 0]), first(lambda n: steps[0, n])], axis=-1)
    mixed = first(lambda n: first(lambda m: steps[n, m]))
    bend = lambda at: (16 * (at(1) + at(-1)) - at(2) - at(-2) - 30 * at(0)) / (12 * STEP**2)  # noqa: E731
    diagonal = bend(lambda n: steps[n, 0]), bend(lambda n: steps[0, n])
    hessian = np.stack([np.stack([diagonal[0], mixed], -1), np.stack([mixed, diagonal[1]], -1)], -1)
    return steps[0, 0], gradient, hessian


# For values, gradients and Hessians; of an integration, whose derivatives are those of its steps, in the second row.
TOLERANCES = (1e-12, 1e-7, 2e-5), (1e-8, 1e-5, 1e-3)


def miss(name, order, wanted):
    """The largest error of an order of transformations, in units of what is allowed."""
    found = np.asarray(order.apply(scalar(name, order)))
    right = wanted[order.degree]
    right = np.sum(right, axis=0) if order.summed else right
    scale = max(1.0, np.abs(wanted[order.degree]).max())
    assert found.shape == right.shape, f"shape {found.shape} for {right.shape}"
    allowed = TOLERANCES[getattr(READERS[name], "integrates", False)][order.degree]
    return float(np.abs(found - right).max() / scale / allowed)


# Orders that every reading was put through; the others, a few readings.
COMMON = (
    "jit(vmap(scan))",
    "vmap(grad(jit))",
    "jit(grad(scan(vmap)))",
    "jit(grad(scan(checkpoint)))",
    "jit(jacfwd(scan(vmap)))",
    "jit(vmap(jacfwd(jacrev)))",
)
THOROUGH = ("davies", "gibbs", "steady_state", "heat_currents")
RECORD = pathlib.Path(__file__).parent / "transformations.json"
PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "transformations.md"


def tried(name):
    """The orders that a reading was put through."""
    if name in THOROUGH:
        return tuple(ORDERS)
    return (*COMMON, "jit(vmap(jacfwd(jacfwd)))") if getattr(READERS[name], "integrates", False) else COMMON


def refusal(name, key):
    """Words of the error where derivatives of this order are refused, None where they are right."""
    if name == "decay_rates" and ORDERS[key].degree == 2:
        return "not implemented"
    if getattr(READERS[name], "integrates", False) and key == "jit(vmap(jacfwd(jacrev)))":
        return "forward-mode autodiff"
    return None


HEAD = """# Transformations compose

Every function of the package can stand inside `jax.jit`, `vmap`, `grad`, `jacfwd`, `jacrev`, `hessian`, `checkpoint`
and `lax.scan`, in any order. What was tried, on two levels, two baths and three points each: values against a plain
loop (1e-12), gradients and Hessians against differences of that loop (1e-7 and 2e-5 of the largest entry; of `evolve`,
a sum of steps, 1e-8, 1e-5 and 1e-3). A number is the error over what is allowed; "refused" is an
error in words; a dash was not tried.

`evolve` has to be told the outermost direction: `mode="reverse"` for `grad`, `vjp` and `jacrev`, `mode="forward"` for
`jvp` and `jacfwd`; its second derivatives are `jacfwd(jacfwd)`, and one direction inside the other is refused.
`relaxation` and `Generator.jump_operators` work with eigenvectors and refuse tracers by name; `decay_rates` has first
derivatives only.

Made by `python tests/contracts/record_transformations.py`; the slow tests `tests/contracts/test_transformations.py`
repeat a part of it.
"""


def page(record):
    """docs/transformations.md of recorded errors, by reading and order."""
    rows = [f"| | {' | '.join(READERS)} |", "|---" * (1 + len(READERS)) + "|"]
    for key in ORDERS:
        cells = [record.get(name, {}).get(key, "–") for name in READERS]
        rows.append(f"| `{key}` | " + " | ".join(x if isinstance(x, str) else f"{x:.0e}" for x in cells) + " |")
    return HEAD + "\n" + "\n".join(rows) + "\n"
