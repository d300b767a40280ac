"""Systems: what is refused, and what is known of the levels before a program is traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.machines import SPECTRA
from reference.random_matrices import with_spectrum

import qdbjax as qdb

GOOD = np.array([[1.0, 0.3], [0.3, -1.0]])


def test_mismatched():
    """Number and eigenbasis of another shape; a charge not conserved."""
    with pytest.raises(ValueError, match=r"number.*\(2, 2\).*\(3, 3\)"):
        qdb.System(GOOD, number=np.eye(3))
    with pytest.raises(ValueError, match="number must commute"):
        qdb.System(GOOD, number=np.diag([0.0, 1.0]))
    with pytest.raises(ValueError, match="eigenbasis"):
        qdb.System(GOOD, eigenbasis=np.eye(2))
    with pytest.raises(ValueError, match=r"eigenbasis.*\(3, 3\)"):
        qdb.System(GOOD, eigenbasis=np.eye(3), energies=np.ones(3))
    with pytest.raises(ValueError, match="eigenbasis and energies must solve"):
        qdb.System(GOOD, eigenbasis=np.eye(2), energies=np.array([-1.0, 1.0]))
    with pytest.raises(ValueError, match=r"energies.*\(3,\)"):
        qdb.System(GOOD, eigenbasis=np.eye(2), energies=np.ones(3))


def test_number_must_commute():
    with pytest.raises(ValueError, match="number must commute with hamiltonian"):
        qdb.System(qdb.sigma_x(), number=qdb.sigma_z())


HAMILTONIANS = {name: with_spectrum(np.random.default_rng(3), levels) for name, levels in SPECTRA.items()}
COUPLINGS = np.random.default_rng(4).normal(size=(2, 3, 3))


def between(hamiltonian, hot):
    baths = [
        qdb.Bath(COUPLINGS[n] + COUPLINGS[n].T, qdb.Ohmic(0.02, 6.0), temperature=t, name=str(n))
        for n, t in enumerate((hot, 0.4))
    ]
    return qdb.davies(hamiltonian, baths)


def readings(hamiltonian, hot):
    generator = between(hamiltonian, hot)
    steady = qdb.steady_state(generator)
    return {
        "heat": qdb.heat_currents(generator, steady),
        "slope": qdb.cumulants(generator, steady, "0", order=2),
        "rho": steady.density_matrix,
        "liouvillian": generator.liouvillian(),
    }


traced = jax.jit(readings)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECTRA)
def test_same_numbers(name):
    """Everything traced, the Hamiltonian known, everything known (1e-12)."""
    hamiltonian, spectrum = HAMILTONIANS[name], between(HAMILTONIANS[name], 1.3).spectrum
    assert spectrum.known_nondegenerate == (name != "equal levels")
    assert spectrum.known_distinct_frequencies == (name == "generic")
    wanted = traced(jnp.asarray(hamiltonian), 1.3)
    for found in (jax.jit(lambda hot: readings(hamiltonian, hot))(1.3), readings(hamiltonian, 1.3)):
        for key, value in wanted.items():
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-12 * np.abs(value).max())


@pytest.mark.slow
def test_evolution():
    """On the way, where gaps that differ are known too."""
    late = lambda hamiltonian: qdb.evolve(  # noqa: E731
        between(hamiltonian, 1.3), np.full((3, 3), 1 / 3), [0.0, 7.0], save="density_matrix"
    ).density_matrix[-1]
    hamiltonian = HAMILTONIANS["generic"]
    np.testing.assert_allclose(late(hamiltonian), jax.jit(late)(jnp.asarray(hamiltonian)), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_what_is_traced_is_not_known():
    """Under jit, grad and vmap over the Hamiltonian nothing is taken for granted; constants are."""
    hamiltonian = HAMILTONIANS["generic"]
    for over in (jax.jit, jax.vmap, jax.grad):
        noted = []

        def look(scale, noted=noted):
            generator = between(hamiltonian * scale.astype(complex), 1.3)
            noted.append(generator.spectrum.known_nondegenerate)
            return jnp.sum(generator.rates)

        over(look)(jnp.ones(2) if over is jax.vmap else jnp.ones(()))
        assert noted == [False]
    noted = []
    jax.make_jaxpr(lambda hot: noted.append(between(hamiltonian, hot).spectrum.known_nondegenerate))(1.3)
    assert noted == [True]


def test_generators_of_both_kinds_in_one_batch():
    """A list of generators, levels equal in some, stacked and solved as one batch."""
    made = [between(hamiltonian, 1.3) for hamiltonian in HAMILTONIANS.values()]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)
    found = jax.jit(jax.vmap(lambda generator: qdb.heat_currents(generator, qdb.steady_state(generator))))(batch)
    for one, generator in zip(found, made, strict=True):
        wanted = qdb.heat_currents(generator, qdb.steady_state(generator))
        np.testing.assert_allclose(one, wanted, rtol=1e-11, atol=1e-16)


def test_fewer_operations():
    """A known Hamiltonian without equal levels leaves less than half of the program."""
    hamiltonian = HAMILTONIANS["generic"]

    def heat(hamiltonian, hot):
        generator = between(hamiltonian, hot)
        return qdb.heat_currents(generator, qdb.steady_state(generator))

    size = lambda program, *args: jax.jit(program).lower(*args).as_text().count("\n")  # noqa: E731
    assert size(lambda hot: heat(hamiltonian, hot), 1.3) < 0.5 * size(heat, jnp.asarray(hamiltonian), 1.3)
