"""Time evolution: against matrix exponentials, its limits, its gradients, and what it refuses."""

import functools as ft

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from reference import machines
from reference.machines import KET

import qdbjax as qdb
from qdbjax import Status

TIMES = np.array([0.0, 0.3, 2.0, 2.0, 11.0, 40.0])
SPECTRA = {**machines.SPECTRA, "one level": [0.5] * 3}
COUPLINGS = np.stack([machines.COUPLING, np.array([[0.0, 0.3, 0.9], [0.3, 0.5, 0.4], [0.9, 0.4, 0.0]])])


def rotated_machine(energies, angle=0.7, lamb_shift=False):
    """Two baths on three levels in a rotated basis."""
    turn = scipy.linalg.expm(angle * np.array([[0, 1, 0.3j], [-1, 0, 0.5], [0.3j, -0.5, 0]]))
    hamiltonian = (turn * jnp.asarray(energies)[None, :].astype(complex)) @ turn.conj().T
    baths = [
        qdb.Bath(COUPLINGS[n], qdb.DrudeLorentz(0.03, 6.0), temperature=temperature, name=str(n))
        for n, temperature in enumerate((0.7, 1.5))
    ]
    return qdb.davies(qdb.System(0.5 * (hamiltonian + hamiltonian.conj().T)), baths, lamb_shift=lamb_shift)


@jax.jit
def evolutions(energies):
    generator = rotated_machine(energies, lamb_shift=True)
    run = ft.partial(qdb.evolve, generator, jnp.outer(KET, KET.conj()), TIMES)
    observables = {"first": COUPLINGS[0], "spin": np.array([[0, -1j, 0], [1j, 0, 0], [0, 0, 0]])}
    return (
        generator.liouvillian(),
        run(observables=observables),
        run(save="populations"),
        generator.spectrum.basis,
        observables,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
def test_against_the_exponential_of_the_liouvillian(name):
    """ρ(t), populations and expectation values, Lamb shift on; equal gaps and equal levels included (1e-8)."""
    liouvillian, found, levels, basis, observables = evolutions(np.array(SPECTRA[name]))
    start = np.outer(KET, KET.conj()).reshape(-1)
    wanted = np.stack([(scipy.linalg.expm(np.asarray(liouvillian) * t) @ start).reshape(3, 3) for t in TIMES])
    np.testing.assert_allclose(found.density_matrix, wanted, rtol=0, atol=1e-8)
    framed = np.einsum("ji,tjk,kl->til", np.conj(basis), wanted, basis)
    np.testing.assert_allclose(found.populations, np.real(np.diagonal(framed, axis1=1, axis2=2)), rtol=0, atol=1e-8)
    np.testing.assert_allclose(levels.populations, found.populations, rtol=0, atol=1e-8)
    assert levels.density_matrix is None and int(found.status) & ~int(Status.NEAR_DEGENERATE) == 0
    for label, operator in observables.items():
        seen = np.einsum("ij,tji->t", operator, wanted).real
        np.testing.assert_allclose(found.expectations[label], seen, rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.trace(found.density_matrix, axis1=1, axis2=2), 1, atol=1e-9)
    np.testing.assert_allclose(found.density_matrix[0], np.outer(KET, KET.conj()), rtol=0, atol=1e-14)


@pytest.mark.slow
def test_cells_of_a_batch_do_not_know_each_other():
    """vmap over a batch in which one spectrum has equal gaps: every cell as alone."""
    energies = np.array([[0.0, 1.0, 2.0 + x] for x in (0.3, 0.0, 0.1)])

    def evolved(e):
        generator = rotated_machine(e, lamb_shift=True)
        return qdb.evolve(generator, jnp.outer(KET, KET.conj()), TIMES, rtol=1e-10, atol=1e-12).density_matrix

    together = jax.jit(jax.vmap(evolved))(energies)
    for each, one in zip(together, energies, strict=True):
        np.testing.assert_allclose(each, evolved(one), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_long_times_are_the_steady_state_and_its_gradient():
    """ρ(t → ∞) = steady state (1e-8); the derivative through the ODE is that of the steady state (1e-7)."""
    weights = np.array([1.0, -2.0, 0.5])

    def late(energies):
        run = qdb.evolve(rotated_machine(energies), np.eye(3) / 3, np.array([2000.0]), save="populations", rtol=1e-10)
        return jnp.sum(run.populations[-1] * weights)

    def steady(energies):
        return jnp.sum(qdb.steady_state(rotated_machine(energies)).populations * weights)

    for energies in (np.array([0.0, 1.0, 2.3]), np.array([0.0, 0.8, 1.1])):
        (value, slope), (wanted, limit) = (jax.jit(jax.value_and_grad(f))(energies) for f in (late, steady))
        np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-8)
        np.testing.assert_allclose(slope, limit, rtol=0, atol=1e-7)


@pytest.mark.slow
def test_forward_mode_by_its_adjoint():
    """jvp with diffrax.ForwardMode equals the reverse gradient."""

    def final(energies, adjoint):
        found = qdb.evolve(rotated_machine(energies), np.outer(KET, KET.conj()), np.array([3.0]), mode=adjoint)
        return jnp.real(found.density_matrix[0, 0, 1])

    energies = np.array([0.0, 1.0, 2.3])
    forward = jax.jacfwd(lambda e: final(e, diffrax.ForwardMode()))(energies)
    reverse = jax.grad(lambda e: final(e, diffrax.RecursiveCheckpointAdjoint()))(energies)
    np.testing.assert_allclose(forward, reverse, rtol=1e-7, atol=1e-10)


def test_semigroup():
    """e^{(s+t)L} = e^{sL} e^{tL}, from any start time (1e-8)."""
    generator = rotated_machine(SPECTRA["generic"])
    first = qdb.evolve(generator, KET, [4.0]).density_matrix[0]
    then = qdb.evolve(generator, first, [13.0], start=4.0).density_matrix[0]
    np.testing.assert_allclose(then, qdb.evolve(generator, KET, [13.0]).density_matrix[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rho0": np.eye(3)}, "rho0 must have trace 1; got 3"),
        ({"rho0": np.diag([1.2, -0.2, 0.0])}, "rho0 must be positive semidefinite"),
        ({"rho0": np.array([[0.5, 0.3, 0], [0, 0.5, 0], [0, 0, 0]])}, "rho0 must be Hermitian"),
        ({"rho0": np.eye(2) / 2}, "rho0 must have dimension 3"),
        ({"times": [2.0, 1.0]}, "times must ascend"),
        ({"times": [-1.0, 1.0]}, "times must not lie before start = 0; got -1"),
        ({"times": []}, "times must be a vector of at least one time"),
        ({"times": [0.0, np.inf]}, "times and start must be finite"),
        ({"save": "everything"}, "save must be one of"),
        ({"observables": [np.eye(2)]}, r"observables\['0'\] must have shape \(3, 3\)"),
        ({"max_steps": 1}, "integration_failed"),
        ({"times": [1e12]}, "integration_failed"),
    ],
)
def test_refused(change, error):
    """Every bad input says what is wrong."""
    arguments = {"rho0": KET, "times": [0.0, 5.0]} | change
    with pytest.raises(ValueError, match=error):
        qdb.evolve(rotated_machine(SPECTRA["generic"]), throw=True, **arguments)


@pytest.mark.slow
def test_failure_is_flagged_where_it_cannot_be_raised():
    """Without throw=True, and inside jit: NaN and a flag; the stiff solver gets to 1e12."""
    generator = rotated_machine(SPECTRA["generic"])
    for run in (
        qdb.evolve(generator, KET, [5.0], max_steps=1),
        jax.jit(lambda: qdb.evolve(generator, KET, np.array([5.0]), max_steps=1))(),
    ):
        assert int(run.status) & Status.INTEGRATION_FAILED and np.all(np.isnan(run.populations))
    late = qdb.evolve(generator, KET, [1e12], solver=diffrax.Kvaerno5(), save="populations")
    np.testing.assert_allclose(late.populations[0], qdb.steady_state(generator).populations, rtol=0, atol=1e-8)
    with pytest.raises(TypeError, match="must be a Generator or a function of time"):
        qdb.evolve(3.0, KET, [1.0])


def test_kets_single_times_and_printing(capsys):
    """A ket, one time, and a progress bar."""
    found = qdb.evolve(rotated_machine(SPECTRA["generic"]), KET, [1.5], progress=True)
    assert "times=1 from 1.5 to 1.5, last populations=[" in repr(found) and "status=ok" in repr(found)
    assert "100.00%" in capsys.readouterr().out
