"""Mean force by three routes, against matrix functions of scipy, quadrature in imaginary time, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb
from qdbjax import states

RNG = np.random.default_rng(5)
X, Z = qdb.sigma_x(), qdb.sigma_z()
REST = with_spectrum(RNG, [0.0, 0.6, 0.6])
WHOLE = random_hermitian(RNG, 6)
total = jax.jit(lambda h, rest, beta: qdb.mean_force(h, rest, inverse_temperature=beta))


def partial_trace(matrix, d):
    rest = matrix.shape[0] // d
    return np.einsum("ikjk->ij", matrix.reshape(d, rest, d, rest))


def by_scipy(hamiltonian, environment, beta):
    """H*, ρ and ln Z* from matrix exponential and logarithm."""
    d = hamiltonian.shape[0] // environment.shape[0]
    rest = np.trace(scipy.linalg.expm(-beta * environment))
    reduced = partial_trace(scipy.linalg.expm(-beta * hamiltonian), d) / rest
    return -scipy.linalg.logm(reduced) / beta, reduced / np.trace(reduced), np.log(np.trace(reduced).real)


def difference(function, x, step=1e-3):
    """Central difference of fourth order along one number."""
    f = lambda n: np.asarray(function(x + n * step))  # noqa: E731
    return (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * step)


@pytest.mark.parametrize("beta", [0.8, -1.3])
def test_finite_environment(beta):
    """A random Hamiltonian at either sign of T."""
    found, wanted = total(WHOLE, REST, beta), by_scipy(WHOLE, REST, beta)
    np.testing.assert_allclose(found.hamiltonian, wanted[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.density_matrix, wanted[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.log_partition_function, wanted[2], rtol=1e-12)


def test_finite_environment_in_the_cold():
    """β = 2000: the reduced ground state, ln Z* = -β(E_0 - E_0 of the environment), H* from its logarithm."""
    found = total(WHOLE, REST, 2000.0)
    energies, basis = np.linalg.eigh(WHOLE)
    ground = partial_trace(np.outer(basis[:, 0], basis[:, 0].conj()), 2)
    np.testing.assert_allclose(found.density_matrix, ground, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.log_partition_function, -2000 * energies[0], rtol=1e-12)
    wanted = energies[0] * np.eye(2) - scipy.linalg.logm(ground) / 2000
    np.testing.assert_allclose(found.hamiltonian, wanted, rtol=0, atol=1e-13)
    apart = np.kron(np.diag([0.0, 1.0]), np.eye(3)) + np.kron(np.eye(2), REST)
    lost = total(apart.astype(complex), REST, 2000.0)
    assert np.all(np.isnan(lost.hamiltonian))
    np.testing.assert_allclose(lost.density_matrix, np.diag([1.0, 0.0]), rtol=0, atol=1e-13)


PROBE, TURN = random_hermitian(RNG, 2), random_hermitian(RNG, 6)
FLAT = np.kron(np.diag([0.3, 0.3]), np.eye(3)) + np.kron(np.eye(2), REST) + 0j


@jax.jit
def seen(step, base, beta):
    """An entry of H*, at a point on a line of Hamiltonians."""
    whole = base + (step + 0.4 * step * step) * TURN
    return jnp.real(jnp.sum(PROBE.T * qdb.mean_force(whole, REST, inverse_temperature=beta).hamiltonian))


slopes = jax.jit(jax.grad(seen, (0, 2)))
bend = jax.jit(jax.jacfwd(jax.grad(seen)))


def by(step, base, beta=0.8):
    """The same by scipy."""
    return np.sum(PROBE.T * by_scipy(base + (step + 0.4 * step * step) * TURN, REST, beta)[0]).real


@pytest.mark.parametrize("base", [WHOLE, FLAT], ids=["random", "degenerate"])
def test_finite_environment_derivatives(base):
    """∂H*/∂H and ∂H*/∂β by differences, also where H* ∝ 1."""
    of_step, of_beta = slopes(0.0, base, 0.8)
    np.testing.assert_allclose(of_step, difference(lambda s: by(s, base), 0.0), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(of_beta, difference(lambda b: by(0.0, base, b), 0.8), rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("base", [WHOLE, FLAT], ids=["random", "degenerate"])
def test_finite_environment_second_derivative(base):
    """∂²H*/∂H² by differences of differences."""
    wanted = difference(lambda s: difference(lambda r: by(r, base), s, 4e-3), 0.0, 4e-3)
    np.testing.assert_allclose(bend(0.0, base, 0.8), wanted, rtol=1e-6)


MODE = 40  # levels of one oscillator


def qubit_and_mode(splitting, coupling, strength, frequency):
    """H of a qubit and an oscillator, and of the oscillator."""
    a, unit = qdb.destroy(MODE), np.eye(MODE)
    rest = frequency * a.T @ a
    return np.kron(0.5 * splitting * Z, unit) + np.kron(np.eye(2), rest) + strength * np.kron(coupling, a + a.T), rest


@pytest.mark.parametrize("beta", [0.7, 3.0])
def test_pure_dephasing(beta):
    """[H, S] = 0, S² = 1: H* = H - g²/Ω exactly."""
    found = total(*qubit_and_mode(1.0, Z, 0.3, 1.2), beta)
    np.testing.assert_allclose(found.hamiltonian, 0.5 * Z - 0.3**2 / 1.2 * np.eye(2), rtol=0, atol=1e-10)


def test_ultrastrong_limit():
    """The exact mean force of one mode comes to Σ P H P - g²/Ω (S² = 1) as its coupling grows."""
    tilted = np.cos(0.7) * Z + np.sin(0.7) * X
    limit = states.ultrastrong_mean_force(0.5 * Z, tilted, inverse_temperature=1.1)
    up, down = (0.5 * (np.eye(2) + sign * tilted) for sign in (1, -1))
    pinched = 0.5 * (up @ Z @ up + down @ Z @ down)
    np.testing.assert_allclose(limit.hamiltonian, pinched, rtol=0, atol=1e-14)
    weights = scipy.linalg.expm(-1.1 * pinched)
    np.testing.assert_allclose(limit.density_matrix, weights / np.trace(weights), rtol=0, atol=1e-13)
    np.testing.assert_allclose(limit.log_partition_function, np.log(np.trace(weights)), rtol=1e-13)
    misses = []
    for strength in (0.5, 1.0, 2.0):
        found = total(*qubit_and_mode(1.0, tilted, strength, 1.0), 1.1)
        wanted = limit.hamiltonian - strength**2 * np.eye(2)
        misses.append(np.abs(found.hamiltonian - wanted).max())
        assert np.abs(found.density_matrix - limit.density_matrix).max() < misses[-1]
    assert misses[2] < 0.3 * misses[1] < 0.3 * misses[0]


def test_ultrastrong_with_equal_pointer_values():
    """An eigenspace of S of two levels keeps its coherence; a derivative of the state by differences."""
    hamiltonian, coupling = random_hermitian(RNG, 4), with_spectrum(RNG, [0.0, 1.0, 1.0, 1.0])
    low = np.linalg.eigh(coupling)[1][:, 0]
    low = np.outer(low, low.conj())
    rest = np.eye(4) - low

    def wanted(strength):
        weights = scipy.linalg.expm(-strength * (low @ hamiltonian @ low + rest @ hamiltonian @ rest))
        return weights / np.trace(weights)

    def found(strength):
        state = states.ultrastrong_mean_force(strength * hamiltonian, coupling, temperature=1.0)
        return state.density_matrix

    value, slope = jax.jit(lambda x: jax.jvp(found, (x,), (jnp.ones(()),)))(0.9)
    np.testing.assert_allclose(value, wanted(0.9), rtol=0, atol=1e-13)
    np.testing.assert_allclose(slope, difference(wanted, 0.9), rtol=0, atol=1e-9)


def correlation(time, strength, cutoff, temperature):
    """Both halves of C at imaginary time: ∫dω J(n + 1)e^{-ωu} and ∫dω Jn e^{ωu} of an Ohmic bath, by trigamma."""
    trigamma = lambda x: strength * temperature**2 * scipy.special.polygamma(1, x)  # noqa: E731
    return trigamma((1 / cutoff + time) * temperature), trigamma(1 + (1 / cutoff - time) * temperature)


def by_time(hamiltonian, couplings, weights, strength, cutoff, temperature):
    """ρ, H* and ln Z* to second order, by Gauss quadrature over two imaginary times."""
    beta, nodes = 1 / temperature, np.polynomial.legendre.leggauss(48)
    x, w = 0.5 * (nodes[0] + 1), 0.5 * nodes[1]
    energies, basis = np.linalg.eigh(hamiltonian)
    framed = np.einsum("im,aij,jn->amn", basis.conj(), couplings, basis)
    gaps, change = energies[:, None] - energies[None, :], np.zeros_like(framed[0])
    for late, outer in zip(beta * x, beta * w, strict=True):
        for early, inner in zip(late * x, late * w, strict=True):
            down, up = correlation(late - early, strength, cutoff, temperature)
            table = weights * down + weights.T * up
            first, second = np.exp(late * gaps) * framed, np.exp(early * gaps) * framed
            change = change + outer * inner * np.einsum("ab,amk,bkn->mn", table, first, second)
    boltzmann = np.exp(-beta * energies)
    change, partition = boltzmann[:, None] * change, boltzmann.sum()
    bare, shift = np.diag(boltzmann) / partition, np.trace(change).real / partition
    rho = bare + change / partition - bare * shift
    equal = np.abs(gaps) < 1e-6
    steps = boltzmann[:, None] - boltzmann[None, :]
    ratio = np.where(equal, -beta * boltzmann[None, :], steps / np.where(equal, 1, gaps))
    turned = lambda a: basis @ a @ basis.conj().T  # noqa: E731
    return turned(rho), turned(np.diag(energies) + change / ratio), np.log(partition) + shift


PAIR = np.stack([random_hermitian(RNG, 4), random_hermitian(RNG, 4)])
WEIGHTS = np.array([[1.0, 0.3 + 0.4j], [0.3 - 0.4j, 0.7]])
LEVELS = {
    "plain": [0.0, 0.4, 1.3, 1.5],
    "equal gaps": [0.0, 0.7, 1.4, 2.1],
    "equal levels": [0.0, 0.7, 0.7, 0.9],
    "two pairs": [0.1, 0.1, 1.0, 1.0],
    "one level": [0.4] * 4,
    "nearly equal": [0.0, 0.7, 0.7 + 1e-4, 0.9],
}
FRAMES = {name: with_spectrum(RNG, levels) for name, levels in LEVELS.items()}
NUMBERS = (0.03, 4.0, 0.6)  # strength, cutoff, temperature


def weak_of(hamiltonian, couplings, strength, cutoff, temperature):
    bath = qdb.Bath(couplings, qdb.Ohmic(strength, cutoff), temperature=temperature, correlation=WEIGHTS)
    return states.weak_mean_force(hamiltonian, bath)


weak = jax.jit(jax.vmap(weak_of, (0, None, None, None, 0)))


def test_weak_coupling():
    """Two correlated couplings: ρ, H* and ln Z* (1e-10), at equal levels and gaps too, in one batch."""
    strength, cutoff, usual = NUMBERS
    cells = [(name, frame, usual) for name, frame in FRAMES.items()] + [("hot", FRAMES["plain"], 20.0)]
    lifted = np.stack([frame for _, frame, _ in cells] + [FRAMES["plain"] - 300 * np.eye(4)])
    found = weak(lifted, PAIR, strength, cutoff, np.array([t for _, _, t in cells] + [usual]))
    for n, (name, frame, t) in enumerate(cells):
        wanted = by_time(frame, PAIR, WEIGHTS, strength, cutoff, t)
        np.testing.assert_allclose(found.density_matrix[n], wanted[0], rtol=0, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(found.hamiltonian[n], wanted[1], rtol=0, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(found.log_partition_function[n], wanted[2], rtol=1e-11, err_msg=name)
    np.testing.assert_allclose(found.density_matrix[-1], found.density_matrix[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.asarray(found.hamiltonian[-1]) + 300 * np.eye(4), found.hamiltonian[0], atol=1e-10)


PROBES = random_hermitian(RNG, 4), random_hermitian(RNG, 4)
MOVES = random_hermitian(RNG, 4), np.stack([random_hermitian(RNG, 4), random_hermitian(RNG, 4)])


def looked_at(rho, hamiltonian, logarithm):
    trace = lambda a, b: jnp.real(jnp.sum(jnp.asarray(a) * jnp.asarray(b).T))  # noqa: E731
    return trace(PROBES[0], rho) + trace(PROBES[1], hamiltonian) + 0.3 * logarithm


def weak_number(*given):
    state = weak_of(*given)
    return looked_at(state.density_matrix, state.hamiltonian, state.log_partition_function)


weak_gradient = jax.jit(jax.grad(weak_number, (0, 1, 2, 3, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "equal levels", "one level"])
def test_weak_coupling_derivatives(name):
    """With respect to H, couplings, strength, cutoff and temperature, by differences of the quadrature."""
    given = FRAMES[name], PAIR, *NUMBERS
    found = weak_gradient(*given)
    moves = *MOVES, 1.0, 1.0, 1.0
    for n, (gradient, move) in enumerate(zip(found, moves, strict=True)):

        def along(step, n=n, move=move):
            moved = [x + step * move if k == n else x for k, x in enumerate(given)]
            return looked_at(*by_time(*moved[:2], WEIGHTS, *moved[2:]))

        got = np.sum(np.real(np.asarray(gradient) * move))
        np.testing.assert_allclose(got, difference(along, 0.0), rtol=1e-7, atol=1e-9, err_msg=f"argument {n}")


def test_weak_against_one_mode():
    """A line of weight g² at Ω is one oscillator: the exact ρ differs from second order by g⁴."""
    coupling, frequency, beta = np.cos(0.6) * Z + np.sin(0.6) * X, 1.2, 1.5
    narrow = jax.jit(
        lambda strength: states.weak_mean_force(
            0.5 * Z, qdb.Bath(coupling, qdb.UnderdampedLorentzian(strength, frequency, 1e-7), inverse_temperature=beta)
        )
    )
    misses = []
    for g in (0.05, 0.1, 0.2):
        line = narrow(g * np.sqrt(2 * frequency / np.pi))
        exact = total(*qubit_and_mode(1.0, coupling, g, frequency), beta)
        misses.append([np.abs(getattr(line, x) - getattr(exact, x)).max() for x in ("density_matrix", "hamiltonian")])
    ratios = np.array(misses[1:]) / np.array(misses[:-1])
    np.testing.assert_allclose(ratios, 16.0, rtol=0.1)


SMOOTH = qdb.Ohmic(0.1, 3.0) + qdb.PowerLaw(0.1, 3.0, 3.0) + qdb.DrudeLorentz(0.1, 3.0)
SHIFT = 0.3 * (1 + 2 + np.pi / 2)


@pytest.mark.parametrize(
    "density, shift, slack",
    [(SMOOTH, SHIFT, 1e-12), (qdb.PowerLaw(0.1, 3.0, 0.5), 0.3 * np.sqrt(np.pi), 1e-8)],
    ids=["smooth", "sub-Ohmic"],
)
def test_weak_dephasing(density, shift, slack):
    """[H, S] = 0, S² = 1: ρ stays, H* = H - ∫dω J/ω, at a low temperature."""
    found = states.weak_mean_force(0.5 * Z, qdb.Bath(Z, density, temperature=0.2))
    np.testing.assert_allclose(found.hamiltonian, 0.5 * Z - shift * np.eye(2), rtol=0, atol=slack)
    np.testing.assert_allclose(found.density_matrix, np.diag([1, np.exp(5)]) / (1 + np.exp(5)), rtol=0, atol=slack)


def test_weak_coupling_in_the_cold():
    """T → 0: the ground state's own mixture (Rayleigh and Schrödinger), ∫dω J(ω)/(ω + Δ)² for a qubit."""
    x = 1 / 5.0
    wanted = 0.02 * (np.exp(x) * scipy.special.exp1(x) * (1 + x) - 1)  # ∫₀^∞ ω e^{-ωx}/(ω + 1)² dω
    cold = jax.jit(lambda t: states.weak_mean_force(0.5 * Z, qdb.Bath(X, qdb.Ohmic(0.02, 5.0), temperature=t)))
    for temperature, slack in ((1e-2, 1e-3), (1e-4, 1e-7)):  # the rest is of order T²
        np.testing.assert_allclose(cold(temperature).density_matrix[0, 0], wanted, rtol=slack)


@pytest.mark.parametrize(
    "density", [qdb.Flat(0.1), qdb.Ohmic(0.1, np.inf), qdb.baths.Custom(lambda w: 0.1 * jnp.exp(-w))]
)
def test_divergent_shift(density):
    """A density without end, or finite at ω → 0: refused."""
    with pytest.raises(ValueError, match=f"bath shifts energies without limit \\({type(density).__name__}\\)"):
        states.weak_mean_force(Z, qdb.Bath(X, density, temperature=1.0))


def test_divergent_shift_when_traced():
    """The same, traced: NaN."""
    density = qdb.baths.Custom(lambda w: 0.1 * jnp.exp(-w))
    state = jax.jit(lambda t: states.weak_mean_force(Z, qdb.Bath(X, density, temperature=t)))(1.0)
    assert np.all(np.isnan(state.density_matrix)) and np.isnan(state.log_partition_function)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1e-4, 0.01, 0.1])
def test_a_mode_that_nodes_may_miss(width):
    """H* = H - ∫dω J/ω of a Lorentzian mode, found by itself; refused, or NaN with a flag, where it is not resolved."""

    def density(marks):
        mode = lambda w: 0.1 * w * width / ((w * w - 9.0) ** 2 + (w * width) ** 2)  # noqa: E731
        return qdb.baths.Custom(mode, scale=1.0, landmarks=marks) if marks else qdb.baths.Custom(mode)

    shift = 0.1 * np.pi / (2 * 9.0)
    for marks in (None, (3.0,)):
        found = states.weak_mean_force(0.5 * Z, qdb.Bath(Z, density(marks), temperature=0.7))
        np.testing.assert_allclose(found.hamiltonian, 0.5 * Z - shift * np.eye(2), rtol=0, atol=1e-10 * shift)
    blind = density((1e-3,))
    with pytest.raises(ValueError, match=r"structure that integrals over it miss .* landmarks="):
        states.weak_mean_force(Z, qdb.Bath(X, blind, temperature=0.7))
    data = qdb.sweep(lambda t: states.weak_mean_force(Z, qdb.Bath(X, blind, temperature=t)).density_matrix, t=[0.7])
    assert np.all(np.isnan(data["value"])) and int(data["status"][0]) == qdb.Status.INACCURATE_INTEGRAL


OHMIC = qdb.Ohmic(0.1, 2.0)
REFUSED = {
    "another kind of bath": (lambda: states.weak_mean_force(Z, qdb.Field(X, OHMIC, temperature=1.0)), "must be a Bath"),
    "local temperature": (
        lambda: states.weak_mean_force(Z, qdb.Bath(X, OHMIC, inverse_temperature=lambda w: 1 + w)),
        "one temperature",
    ),
    "dimension": (
        lambda: states.weak_mean_force(np.eye(3), qdb.Bath(X, OHMIC, temperature=1.0)),
        "couples to 2 levels; the system has 3",
    ),
    "zero": (lambda: states.weak_mean_force(Z, qdb.Bath(X, OHMIC, temperature=0.0)), "temperature above 0, got 0"),
    "divisor": (lambda: qdb.mean_force(np.eye(6), np.eye(4), temperature=1.0), "divides that of hamiltonian, 6; got 4"),
    "cold": (lambda: qdb.mean_force(np.eye(6), np.eye(3), temperature=0.0), "finite and not 0; got 0.0"),
    "nan": (lambda: qdb.mean_force(np.full((4, 4), np.nan), np.eye(2), temperature=1.0), "hamiltonian must be finite"),
    "not Hermitian": (lambda: qdb.mean_force(np.eye(4), qdb.destroy(2), temperature=1.0), "environment must be Herm"),
    "no temperature": (lambda: qdb.mean_force(np.eye(4), np.eye(2)), "exactly one of temperature"),
    "shape": (lambda: states.ultrastrong_mean_force(Z, np.eye(3), temperature=1.0), r"shape of hamiltonian, \(2, 2\)"),
    "hot": (lambda: states.ultrastrong_mean_force(Z, X, inverse_temperature=0.0), "finite and not 0; got 0.0"),
    "no cutoff": (
        lambda: states.damped_oscillator(1.0, damping=0.1, cutoff=np.inf, temperature=1.0),
        "cutoff must be > 0 and finite; got inf",
    ),
    "oscillator at zero": (
        lambda: states.damped_oscillator(1.0, damping=0.1, cutoff=5.0, temperature=0.0),
        "temperature must be > 0",
    ),
    "negative damping": (
        lambda: states.damped_oscillator(1.0, damping=-0.1, cutoff=5.0, temperature=1.0),
        "damping must be >= 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    """Bad input is named."""
    call, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
