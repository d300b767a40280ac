"""Programs for accelerators, without one: they lower for CUDA and TPU, forward and gradient, and call no host."""

import math
import re

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from public_programs import POINT, PROGRAMS, generator, scalar

import qdbjax as qdb

PLATFORMS = ("cuda", "tpu")
BATCH = np.stack([POINT, 1.1 * POINT])
# jnp.linalg.eigvals: a TPU has none, and JAX promises no compatibility of CUDA's.
GENERAL_EIGENVALUES = {"decay_rates"}
# Null vectors of a d² × d² matrix, by a library of the device.
OF_A_LIBRARY = {"asymptotic_state"}


def lowered(function, *arguments, platforms=PLATFORMS):
    """The text of a program for these platforms."""
    return export.export(jax.jit(function), platforms=platforms)(*arguments).mlir_module()


def called(text):
    """What a program calls outside of itself."""
    return set(re.findall(r"custom_call @(\w+)", text))


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("steady_state", "evolve")), "lindblad", "gibbs"]
)
def test_a_batch_lowers(name):
    text = lowered(jax.vmap(scalar(name, 3)), BATCH)
    assert not called(text) and "callback" not in text and "f64" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_lower(name):
    """The gradient of a program holds the forward program too; few levels need no library of the device."""
    function = jax.grad(scalar(name, 2))
    if name in GENERAL_EIGENVALUES:
        with pytest.raises(NotImplementedError, match="'eig' not found for platform tpu"):
            lowered(function, POINT, platforms=["tpu"])
        return
    text = lowered(function, POINT)
    assert "callback" not in text
    assert (called(text) != set()) == (name in OF_A_LIBRARY), called(text)


@pytest.mark.slow
def test_a_batched_gradient_lowers():
    text = lowered(jax.vmap(jax.grad(scalar("heat_currents", 3))), BATCH, platforms=["tpu"])
    assert not called(text) and "callback" not in text


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_larger_systems_call_the_library_of_the_device(platform):
    text = lowered(jax.vmap(scalar("heat_currents", 4)), BATCH, platforms=[platform])
    assert any(word in name.lower() for name in called(text) for word in ("eigh", "syevd", "syevj", "jacobi"))
    assert "callback" not in text and not any("lapack" in name for name in called(text))


def _gas(temperature):
    gas = qdb.Gas(np.diag([1.0, 0.7]), temperature=temperature)
    levels = jnp.diag(jnp.stack([temperature, 0.3 * temperature]))
    return qdb.steady_state(qdb.low_density(levels, gas)).populations[0]


@pytest.mark.parametrize(("function", "shape"), [(_gas, ()), (scalar("heat_currents", 3), (2,))])
def test_a_block_on_an_accelerator_is_no_larger_than_it_has_to_be(function, shape, monkeypatch):
    """Cells with equal levels are computed block by block, and a block whole, however few they are.

    Of 1e6 cells no matrix of the ω = 0 block may be made at once: 400 000 cells of a gas asked for 378 GiB (H100), and
    a ring of which a tenth crosses took nine times as long as block by block.
    """
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    cells = jax.ShapeDtypeStruct((10**6, *shape), jnp.float64)
    text = jax.jit(jax.vmap(function)).lower(cells).as_text()
    shapes = {tuple(map(int, found.split("x"))) for found in re.findall(r"tensor<((?:\d+x)*\d+)xf64>", text)}
    inner = [each for each in shapes if 10**6 not in each]
    blocks = max(max(each) for each in inner if math.prod(each) > 10**5)
    assert 2**13 < blocks <= 2**15, blocks
    assert max(math.prod(each) for each in inner) * 8 <= 2**30  # half a GiB as it is traced, products twice that
    assert max(math.prod(each) for each in shapes if 10**6 in each) <= 200 * 10**6


@pytest.mark.filterwarnings("ignore:JAX computes in single precision")
def test_single_precision_holds_no_double_number():
    """A TPU has none that is complex; without x64 every number of the program is single."""
    with jax.enable_x64(False):
        text = lowered(jax.vmap(scalar("lindblad", 3)), BATCH.astype(np.float32), platforms=["tpu"])
    assert "f64" not in text and "f32" in text


@pytest.mark.slow
def test_a_driven_evolution_with_breakpoints_calls_no_host():
    """Times, breakpoints and the step are traced: nothing of them is looked at by the host."""

    def heat(x, times):
        protocol = lambda t: generator(x * jnp.where(t < 1.0, 1.0, 1.5), 2)  # noqa: E731
        return qdb.evolve(protocol, np.eye(2) / 2, times, breakpoints=[1.0]).account.heat[-1, 0]

    text = lowered(heat, POINT, np.array([0.5, 2.0]))
    assert "callback" not in text and not called(text)


@pytest.mark.slow
def test_times_that_do_not_ascend_are_seen_without_the_host():
    """What diffrax would raise for is an error where it is known, and NaN with a flag in a program."""
    made = generator(POINT, 2)
    with pytest.raises(ValueError, match="times must ascend"):
        qdb.evolve(made, np.eye(2) / 2, [1.0, 0.5])
    run = jax.jit(lambda times: qdb.evolve(made, np.eye(2) / 2, times, save="populations"))
    found = run(np.array([1.0, 0.5]))
    assert np.isnan(found.populations).all() and int(found.status) & int(qdb.Status.NONFINITE_INPUT)
    assert np.isfinite(run(np.array([0.5, 1.0])).populations).all()


@pytest.mark.slow
def test_diffrax_of_others_still_looks_at_its_times():
    qdb.evolve(generator(POINT, 2), np.eye(2) / 2, [0.5], save="populations")

    def solve(times):
        term, solver = diffrax.ODETerm(lambda t, y, _: -y), diffrax.Euler()
        saveat = diffrax.SaveAt(ts=times)
        return diffrax.diffeqsolve(term, solver, 0.0, 1.0, 0.1, jnp.ones(2), saveat=saveat, max_steps=64).ys

    assert jax.make_jaxpr(solve)(np.array([0.2, 0.5])).pretty_print().count("pure_callback") > 0
