"""Eager calls: compiled once, differentiated and batched in every order, by the tier that the cells ask for."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import random_machine

import qdbjax as qdb
from qdbjax.compilation import eager
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.compilation.tiers import MANY

POINT = np.array([0.7, 1.3, 0.4])


def compilations(call):
    """How many programs JAX compiles during a call."""
    count = []
    listen = lambda name, *_, **__: count.append(name) if name.endswith("backend_compile_duration") else None  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return len(count)


def ring(hot, flux, tunneling=0.5):
    system = qdb.models.three_dot_ring(tunneling, flux)
    warm = qdb.Bath(qdb.site(0, 3), qdb.Ohmic(0.01, 10.0), temperature=hot)
    cold = qdb.Bath(qdb.site(1, 3), qdb.Ohmic(0.01, 10.0), temperature=0.2)
    return qdb.davies(system, [warm, cold])


def heat(hot, flux):
    generator = ring(hot, flux)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


by_user = jax.jit(jax.value_and_grad(heat))


@pytest.mark.slow
@pytest.mark.parametrize("flux", [0.3, 0.5], ids=["split", "crossing"])
@pytest.mark.parametrize("wanted", [True, False], ids=["optimised", "quick"])
def test_both_tiers_agree_with_a_program_of_the_user(flux, wanted):
    value, slope = by_user(1.1, flux)
    with qdb.compilation.optimize(wanted):
        found = jax.value_and_grad(heat)(1.1, flux)
    np.testing.assert_allclose(found, (value, slope), rtol=1e-12)


def test_tiers_agree_on_many_cells_of_eight_levels():
    rng = np.random.default_rng(3)
    machines = [random_machine(rng, 8, 2) for _ in range(20)]
    stacked = [jnp.asarray(np.stack(leaf)) for leaf in zip(*machines, strict=True)]

    def currents(hamiltonian, couplings, strengths, cutoffs, temperatures):
        baths = [
            qdb.Bath(couplings[n], qdb.Ohmic(strengths[n], cutoffs[n]), temperature=temperatures[n]) for n in (0, 1)
        ]
        generator = qdb.davies(hamiltonian, baths)
        return qdb.heat_currents(generator, qdb.steady_state(generator, qdb.solvers.Populations()))

    found = {}
    for wanted in (True, False):
        with qdb.compilation.optimize(wanted):
            found[wanted] = np.asarray(jax.vmap(currents)(*stacked))
    np.testing.assert_allclose(found[True], found[False], rtol=1e-11)


@jit_if_eager
def curve(x, scale):
    """Two results that move, one that must not, one that is no number of its own, and what is static."""
    kept = jax.lax.stop_gradient(x[0]) * scale
    return {
        "sum": jnp.sum(jnp.sin(x) * x[::-1]) * scale,
        "all": x**3,
        "kept": kept,
        "count": x.shape[0],
        "name": "c",
    }, (jnp.argmax(x))


def whole(x, scale):
    found, place = curve(x, scale)
    return found["sum"] + jnp.sum(found["all"] * found["all"]) + found["kept"] * 0.5 + x[place]


def plain(x, scale):
    total = jnp.sum(jnp.sin(x) * x[::-1]) * scale + jnp.sum(x**6)
    return total + 0.5 * jax.lax.stop_gradient(x[0]) * scale + x[jnp.argmax(x)]


TRANSFORMS = {
    "value": lambda f: f,
    "reverse": lambda f: jax.grad(f, (0, 1)),
    "forward": lambda f: jax.jacfwd(f, (0, 1)),
    "forward over reverse": lambda f: jax.hessian(f),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "batch": lambda f: lambda x, s: jax.vmap(f, (0, None))(x[None] * jnp.arange(1.0, 4.0)[:, None], s),
    "gradient of batch": lambda f: jax.grad(
        lambda x, s: jnp.sum(jax.vmap(f, (0, None))(x[None] * jnp.arange(1.0, 4.0)[:, None], s)), (0, 1)
    ),
    "batch of gradient": lambda f: (
        lambda x, s: jax.vmap(jax.grad(f, (0, 1)), (0, None))(x[None] * jnp.arange(1.0, 4.0)[:, None], s)
    ),
    "batch of batch": lambda f: (
        lambda x, s: jax.vmap(jax.vmap(f, (0, None)), (None, 0))(
            x[None] * jnp.arange(1.0, 4.0)[:, None], s * jnp.arange(1.0, 3.0)
        )
    ),
    "gradient in a direction that a batch shares": lambda f: (
        lambda x, s: jax.grad(
            lambda t: jnp.sum(
                jax.vmap(lambda x: jax.jvp(lambda x: f(x, s), (x,), (t,))[1])(x[None] * jnp.arange(1.0, 4.0)[:, None])
            )
        )(x)
    ),
    "inside a program": jax.jit,
    "gradient of a scan": lambda f: jax.grad(
        lambda x, s: jax.lax.scan(lambda carry, k: (carry + f(x * k, s), None), 0.0, jnp.arange(1.0, 3.0))[0], (0, 1)
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transformations(name):
    """In whatever order: as if the function had never been compiled."""
    given = jnp.asarray(POINT), jnp.asarray(1.7)
    found, wanted = TRANSFORMS[name](whole)(*given), jax.jit(TRANSFORMS[name](plain))(*given)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-13)


def test_what_is_no_array_stays_what_it_is():
    (found, place), known = curve(jnp.asarray(POINT), jnp.asarray(1.0)), qdb.System(np.diag([1.0, 2.0]))
    assert found["count"] == 3 and found["name"] == "c" and place.dtype == jnp.int64
    assert isinstance(qdb.davies(known, qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.1, 5.0), temperature=1.0)).names, tuple)


def test_only_reverse_mode():
    """A function with a rule for reverse mode alone is differentiated by it."""

    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x**2 * ct,))
    wrapped = jit_if_eager(lambda x: {"cube": cube(x)})
    np.testing.assert_allclose(jax.grad(lambda x: wrapped(x)["cube"])(jnp.asarray(2.0)), 12.0)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda x: wrapped(x)["cube"]))(jnp.arange(3.0)), [0.0, 3.0, 12.0])
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: wrapped(x)["cube"], (jnp.asarray(2.0),), (jnp.asarray(1.0),))


def test_a_function_that_closes_over_what_is_differentiated():
    def through(scale):
        inner = jit_if_eager(lambda x: scale * jnp.sum(x**2))
        return inner(jnp.asarray(POINT))

    np.testing.assert_allclose(jax.grad(through)(2.0), np.sum(POINT**2), rtol=1e-15)


def test_compiled_once():
    """Another number, a weakly typed one, a gradient after the value: what is known is not compiled again."""
    heat(1.2, 0.31), jax.grad(heat)(1.2, 0.31)
    assert compilations(lambda: (heat(1.3, 0.32), heat(jnp.asarray(1.3), 0.4))) == 0
    assert compilations(lambda: jax.grad(heat)(1.4, 0.33)) == 0


@jit_if_eager
def doubled(x):
    return 2 * x


def test_the_number_of_cells_chooses(monkeypatch):
    """One call is one cell, nested batches multiply, and from MANY on programs are optimised unless told otherwise."""
    seen, options = [], eager.compiler_options

    def spy(cells, *arguments):
        found = options(cells, *arguments)
        seen.append((cells, bool(found)))
        return found

    monkeypatch.setattr(eager, "compiler_options", spy)
    doubled(jnp.ones(()))
    jax.vmap(jax.vmap(doubled))(jnp.ones((7, 3)))
    jax.vmap(doubled)(jnp.ones(MANY))
    with qdb.compilation.optimize(True):
        doubled(jnp.ones(()))
    with qdb.compilation.optimize(False):
        jax.vmap(doubled)(jnp.ones(MANY))
    jax.vmap(jax.grad(doubled))(jnp.ones(5))  # the slope of a line is one for all cells
    assert seen == [(1, True), (21, True), (MANY, False), (1, False), (MANY, True), (5, True), (1, True)]


def test_optimize_refuses_what_it_does_not_know():
    with (
        pytest.raises(ValueError, match="optimize must be True, False or None; got 'fast'"),
        qdb.compilation.optimize("fast"),
    ):
        pass


def test_options_that_jaxlib_does_not_know_are_left_out(monkeypatch):
    """Or every program would be an error in the next version of jaxlib."""
    from qdbjax.compilation import tiers

    monkeypatch.setattr(tiers, "QUICK", {"xla_of_the_year_2050": True, "xla_backend_optimization_level": 0})
    assert tiers._accepted.__wrapped__(tuple(tiers.QUICK.items())) == {"xla_backend_optimization_level": 0}


def test_static_arguments_of_equal_value_and_other_kind():
    """1, 1.0 and True are three arguments."""
    kind = jit_if_eager(lambda x, flag: (x, type(flag).__name__))
    x = jnp.ones(())
    assert [kind(x, flag)[1] for flag in (1, 1.0, True)] == ["int", "float", "bool"]


def test_single_precision_has_programs_of_its_own():
    double = jit_if_eager(lambda x: x + jnp.ones(()))
    assert double(np.ones(())).dtype == np.float64
    with jax.enable_x64(False):
        assert double(np.ones(())).dtype == np.float32
    assert isinstance(eqx.filter_eval_shape(double, jnp.ones(())), jax.ShapeDtypeStruct)


@pytest.mark.parametrize("switch", [lambda: jax.debug_nans(True), jax.disable_jit], ids=["debug_nans", "disable_jit"])
def test_switches_for_debugging(switch):
    """JAX's own switches work on eager calls, and find no NaN where there is none."""
    value = heat(1.1, 0.3)
    with switch():
        np.testing.assert_allclose(heat(1.1, 0.3), value, rtol=1e-13)
