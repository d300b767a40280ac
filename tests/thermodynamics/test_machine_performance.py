"""Machines and what they achieve: golden refrigerator, closed forms, and currents of the dense NumPy reference."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import cases
from reference.differences import slope, two_point_slope
from reference.lindblad import Davies
from reference.machines import ising_hamiltonian, level_between_leads, links, three_qubit_hamiltonian
from reference.thermal import fermi

import qdbjax as qdb
from qdbjax import thermodynamics
from qdbjax.thermodynamics import Mode

GOLDEN = cases("absorption_refrigerator")
X = qdb.sigma_x()


def flips(count):
    """σ_x of each of several qubits."""
    return [qdb.embed(X, n, [2] * count) for n in range(count)]


def refrigerate(energies, temperatures, strengths, leak):
    machine = qdb.models.absorption_refrigerator(energies, temperatures, strengths=strengths, leak=leak)
    generator = qdb.davies(*machine)
    state = qdb.steady_state(generator)
    return state.populations, qdb.entropy_production(generator, state), thermodynamics.performance(generator, state)


BATHS, COUNT, TIGHT = ("cold", "hot", "room"), 300, 150
GIVEN = [case["inputs"] for case in GOLDEN]
UNPHYSICAL = len(GIVEN)
RANDOM, WITHOUT_LEAK = slice(UNPHYSICAL + 1, None), slice(UNPHYSICAL + 1, TIGHT)


@pytest.fixture(scope="module")
def refrigerators():
    """One batch: the golden ones, one with a negative temperature, those without leak, leaking ones."""
    rng = np.random.default_rng(3)
    gaps, strengths = rng.uniform(0.3, 3.0, (COUNT, 2)), rng.uniform(0.005, 0.02, (COUNT, 3))
    temperatures = rng.uniform([0.8, 3.0, 1.2], [1.1, 6.0, 2.0], (COUNT, 3))
    energies = np.stack([np.zeros(COUNT), gaps[:, 0], gaps.sum(axis=1)], axis=1)
    leaks = np.r_[np.zeros(TIGHT), rng.uniform(0.02, 0.4, COUNT - TIGHT)]
    for n, given in enumerate(GIVEN):
        assert [given[name] for name in BATHS] == ["0-1", "1-2", "0-2"] and given["wc_cutoff"] == 20.0
        energies[n], leaks[n] = given["levels"], given["leak_amplitude"]
        temperatures[n] = [given[name] for name in ("Tc", "Th", "Tr")]
        strengths[n] = [given["kappa"][name] for name in BATHS]
    temperatures[UNPHYSICAL, 0] = -1.0
    given = energies, temperatures, strengths, leaks
    populations, production, found = jax.tree.map(np.asarray, jax.jit(jax.vmap(refrigerate))(*given))
    cold, hot, room = temperatures.T
    bound, ratio = (1 - room / hot) * cold / (room - cold), energies[:, 1] / (energies[:, 2] - energies[:, 1])
    cools = found.mode == Mode.ABSORPTION_REFRIGERATOR
    return types.SimpleNamespace(
        energies=energies, temperatures=temperatures, strengths=strengths, leaks=leaks, populations=populations,
        production=production, performance=found, bound=bound, ratio=ratio, cools=cools,
    )  # fmt: skip


@pytest.mark.parametrize("n", range(len(GOLDEN)), ids=("cools", "runs backwards", "stands still"))
def test_golden_refrigerator(refrigerators, n):
    """Populations, heat, entropy, COP and its bound; without currents the COP is undefined."""
    wanted = GOLDEN[n]["outputs"]
    found = jax.tree.map(lambda x: x[n], refrigerators.performance)
    np.testing.assert_allclose(refrigerators.populations[n], wanted["populations"], rtol=1e-12)
    heat = [wanted["heat_into_system"][name] for name in BATHS]
    np.testing.assert_allclose(found.heat_currents, heat, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(refrigerators.production[n], wanted["entropy_production"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.carnot_coefficient, wanted["COP_carnot"], rtol=1e-12)
    np.testing.assert_allclose(found.coefficient, np.nan if wanted["COP"] is None else wanted["COP"], rtol=1e-9)
    assert found.operation == ("absorption refrigerator", "heat transformer", "idle")[n]
    assert found.operation in repr(found) and float(found.power) == 0


def test_refrigerators_obey_carnot(refrigerators):
    """Wherever a machine cools its COP stays below Carnot's bound; many do, with and without leak."""
    found, cools = refrigerators.performance, refrigerators.cools
    np.testing.assert_allclose(found.carnot_coefficient[RANDOM], refrigerators.bound[RANDOM], rtol=1e-12)
    assert np.all(found.coefficient[cools] < refrigerators.bound[cools])
    assert np.all(refrigerators.production[RANDOM] > 0)
    assert 30 < cools[WITHOUT_LEAK].sum() < 120 and cools[TIGHT:].sum() > 10


def test_gaps_decide_without_leak(refrigerators):
    """COP = ω_c/ω_h, and the machine cools where that is below Carnot's bound."""
    ratio = refrigerators.ratio[WITHOUT_LEAK]
    np.testing.assert_allclose(refrigerators.performance.coefficient[WITHOUT_LEAK], ratio, rtol=1e-8)
    np.testing.assert_array_equal(refrigerators.cools[WITHOUT_LEAK], ratio < refrigerators.bound[WITHOUT_LEAK])


def test_an_unphysical_refrigerator_is_undefined(refrigerators):
    """A negative temperature in a batch: no mode and no COP for that cell."""
    found = refrigerators.performance
    assert found.mode[UNPHYSICAL] == Mode.UNDEFINED and np.isnan(found.coefficient[UNPHYSICAL])


def test_a_batch_says_what_it_is(refrigerators):
    """Its shape and its baths in print, one word for every cell."""
    found = refrigerators.performance
    assert repr(found) == "Performance(batch=(300,), baths=cold, hot, room)"
    assert found.operation[0] == "absorption refrigerator"


def test_refrigerators_against_the_dense_equation(refrigerators):
    """Heat from every bath; the mode is read off its signs."""
    couplings = [links((0, 1)), links((1, 2)), links((0, 2))]
    for n in (*range(10, TIGHT, 30), *range(TIGHT, COUNT, 12)):
        leaking = [c + refrigerators.leaks[n] * (1 - np.eye(3) - c) for c in couplings]
        baths = zip(leaking, refrigerators.strengths[n], [20.0] * 3, refrigerators.temperatures[n], strict=True)
        heat = Davies(np.diag(refrigerators.energies[n]), list(baths)).heat_currents()
        np.testing.assert_allclose(refrigerators.performance.heat_currents[n], heat, rtol=1e-9, atol=1e-13)
        assert refrigerators.cools[n] == (heat[0] > 0 and heat[1] > 0)


@pytest.mark.slow
def test_derivative_of_the_coefficient():
    """COP = ω_c/ω_h without leak: its slope in ω_c is 1/ω_h."""

    def coefficient(gap):
        energies = jnp.stack([jnp.zeros(()), gap, gap + 2.0])
        return refrigerate(energies, np.array([1.0, 4.0, 1.5]), np.full(3, 0.01), 0.0)[2].coefficient

    np.testing.assert_allclose(jax.jit(jax.grad(coefficient))(1.0), 0.5, rtol=1e-9)


@jax.jit
def lase(energies, temperatures):
    machine = qdb.models.three_level_maser(energies, temperatures, strengths=np.array([0.01, 0.01, 1e-8]))
    generator = qdb.davies(*machine)
    state = qdb.steady_state(generator, qdb.solvers.Populations())
    return thermodynamics.performance(generator, state, work="work"), generator.rates


@pytest.mark.parametrize("signal", [0.5, 1.4, 2.2, 2.6])
def test_maser(signal):
    """η = ω_s/ω_p until Carnot's 1 - T_c/T_h, then COP = ω_i/ω_s of a refrigerator; power by the cycle's trees."""
    hot, cold, pump = 4.0, 1.0, 3.0
    found, rates = lase(np.array([0.0, signal, pump]), np.array([hot, cold, 1e7]))
    assert found.operation == ("engine" if signal / pump < 1 - cold / hot else "refrigerator")
    np.testing.assert_allclose(
        [found.carnot_efficiency, found.carnot_coefficient], [1 - cold / hot, cold / (hot - cold)]
    )
    if found.operation == "engine":
        np.testing.assert_allclose(found.efficiency, signal / pump, rtol=1e-9)
    else:
        np.testing.assert_allclose(found.coefficient, (pump - signal) / signal, rtol=1e-9)
        assert found.coefficient < found.carnot_coefficient
    total = np.asarray(rates).sum(axis=0)
    up, down = total[2, 0] * total[1, 2] * total[0, 1], total[0, 2] * total[2, 1] * total[1, 0]
    trees = sum(
        total[a, b] * total[c, d]
        for root in range(3)
        for (a, b), (c, d) in [
            ((root, (root + 1) % 3), (root, (root + 2) % 3)),
            ((root, (root + 1) % 3), ((root + 1) % 3, (root + 2) % 3)),
            ((root, (root + 2) % 3), ((root + 2) % 3, (root + 1) % 3)),
        ]
    )
    np.testing.assert_allclose(found.power, signal * (up - down) / trees, rtol=1e-9)


@jax.jit
def transport(level, temperatures, potentials):
    generator = level_between_leads(level, (0.01, 0.01), temperatures, potentials)
    return thermodynamics.performance(generator, qdb.steady_state(generator, qdb.solvers.Populations()))


@pytest.mark.parametrize(
    ("level", "potentials", "word"),
    [
        (2.0, (0.0, 0.5), "engine"),
        (2.0, (0.0, 1.2), "refrigerator"),
        (2.0, (0.5, 0.0), "accelerator"),
        (0.25, (0.5, 0.0), "heater"),
        (2.0, (0.0, 0.0), "conduction"),
        (2.0, (0.0, 1.0), "idle"),
    ],
)
def test_thermoelectric(level, potentials, word):
    """One level between a hot (T = 2) and a cold lead (T = 1): I = Γ/2 (f_h - f_c), P = (μ_c - μ_h) I, and the word."""
    found = transport(level, np.array([2.0, 1.0]), np.array(potentials))
    (hot, cold), width = potentials, 2 * np.pi * 0.01
    current = width / 2 * (fermi(level - hot, 2.0) - fermi(level - cold, 1.0))
    assert found.operation == word
    np.testing.assert_allclose(found.power, (cold - hot) * current, rtol=1e-11, atol=1e-17)
    heat = [(level - hot) * current, -(level - cold) * current]
    np.testing.assert_allclose(found.heat_currents, heat, rtol=1e-11, atol=1e-17)
    if word == "engine":
        np.testing.assert_allclose(found.efficiency, (cold - hot) / (level - hot), rtol=1e-11)
        assert found.efficiency < found.carnot_efficiency == 0.5
    if word == "refrigerator":
        np.testing.assert_allclose(found.coefficient, (level - cold) / (cold - hot), rtol=1e-11)
        assert found.coefficient < found.carnot_coefficient == 1.0


def local_baths(coupling, cold):
    """Two qubits of gaps 1 and 0.6, each raised and lowered by itself, whatever the other does (Levy, Kosloff)."""
    h, one, low = np.diag([-0.5, 0.5]), np.eye(2), np.array([[0, 1.0], [0, 0]])
    sx = low + low.T
    hamiltonian = np.kron(h, one) + 0.6 * np.kron(one, h) + coupling * np.kron(sx, sx)

    def jumps(gap, temperature, operator):
        quanta = 1 / np.expm1(gap / temperature)
        return np.stack([np.sqrt(0.1 * (quanta + 1)) * operator, np.sqrt(0.1 * quanta) * operator.T])

    return hamiltonian, jumps(1.0, 2.0, np.kron(low, one)), jumps(0.6, cold, np.kron(one, low))


@pytest.mark.parametrize("cold", [0.4, 1.0, 1.15, 1.25, 1.9])
def test_local_baths_against_the_second_law(cold):
    """The word and the report follow the sign of Σ J/T, here from a 16 x 16 matrix in NumPy."""
    hamiltonian, *jumps = local_baths(0.6, cold)
    generator = qdb.lindblad(hamiltonian, dict(zip(("hot", "cold"), jumps, strict=True)), temperatures=[2.0, cold])
    parts = [sum(lindblad_part(np.zeros((4, 4)), k) for k in each) for each in jumps]
    matrix = lindblad_part(hamiltonian, np.zeros((4, 4))) + sum(parts)
    rho = np.linalg.lstsq(np.vstack([matrix, np.eye(4).reshape(1, -1)]), np.r_[np.zeros(16), 1.0], rcond=None)[0]
    heat = np.array([np.trace(hamiltonian @ (part @ rho).reshape(4, 4)).real for part in parts])
    found = thermodynamics.performance(generator)
    np.testing.assert_allclose(found.heat_currents, heat, rtol=1e-9)
    decreases = np.sum(heat / np.array([2.0, cold])) > 0
    assert decreases == (cold > 0.6)
    assert found.operation == ("against the second law" if decreases else "conduction")
    assert ("against the second law" in repr(qdb.balance_report(generator))) == decreases


def lindblad_part(hamiltonian, jump):
    """-i[H, ρ] + KρK† - ½{K†K, ρ} on row-major vec(ρ)."""
    one, product = np.eye(4), jump.conj().T @ jump
    total = -1j * (np.kron(hamiltonian, one) - np.kron(one, hamiltonian.T)) + np.kron(jump, jump.conj())
    return total - 0.5 * (np.kron(product, one) + np.kron(one, product.T))


def three_leads():
    leads = [
        qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(j), temperature=t, chemical_potential=mu, name=name)
        for j, t, mu, name in ((1e-6, 0.5, 0.0, "cold"), (0.01, 2.0, 0.0, "hot"), (0.01, 1.5, 1.0, "room"))
    ]
    return qdb.davies(qdb.models.quantum_dot(2.0), leads)


@pytest.mark.slow
def test_heat_pump():
    """Power lifts heat from a room to a hot lead while a third, weakly coupled, stays cold; baths named or not."""
    generator = three_leads()
    state = qdb.steady_state(generator)
    found = thermodynamics.performance(generator, state)
    assert found.operation == "heat pump" and float(found.power) < 0
    named = thermodynamics.performance(generator, state, cold="cold", hot=1)
    np.testing.assert_allclose(named.coefficient, found.coefficient, rtol=1e-13)


def test_roles_that_cannot_be():
    """Unknown baths, two roles for one, too few thermal ones."""
    generator, state = three_leads(), np.eye(2) / 2
    for arguments, error in (
        ({"cold": "warm"}, r"cold must name a bath \(0 or 'cold', 1 or 'hot', 2 or 'room'\); got 'warm'"),
        ({"hot": 3}, "hot must name a bath"),
        ({"cold": "hot", "hot": 1}, "a bath has one role"),
        ({"work": ("cold", "hot")}, "performance needs two thermal baths"),
    ):
        with pytest.raises(ValueError, match=error):
            thermodynamics.performance(generator, state, **arguments)
    with pytest.raises(ValueError, match="between must name two different baths"):
        thermodynamics.rectification(generator, between=("hot", 1))


@jax.jit
def three_qubits(splittings, coupling, temperatures):
    machine = qdb.models.three_qubit_refrigerator(*splittings, coupling, temperatures)
    generator = qdb.davies(*machine)
    state = qdb.steady_state(generator)
    return state, thermodynamics.performance(generator, state)


def dense_refrigerator(splittings, coupling, temperatures):
    baths = zip(flips(3), [0.001] * 3, [20.0] * 3, temperatures, strict=True)
    return Davies(three_qubit_hamiltonian(*splittings, coupling), list(baths))


@pytest.mark.parametrize(
    ("splittings", "coupling"),
    [((1.0, 4.0), 0.2), ((1.5, 1.5), 0.3), ((1.0, 4.0), 0.0)],
    ids=("cools", "equal", "apart"),
)
def test_three_qubit_refrigerator(splittings, coupling):
    """Against the dense reference; equal levels (E_1 = E_3), and a degenerate pair that is not split (g = 0)."""
    temperatures = np.array([1.0, 1.1, 5.0])
    state, found = three_qubits(np.array(splittings), coupling, temperatures)
    dense = dense_refrigerator(splittings, coupling, temperatures)
    assert int(state.status) == 0
    np.testing.assert_allclose(state.density_matrix, dense.steady_state(), rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.heat_currents, dense.heat_currents(), rtol=1e-8, atol=1e-13)
    assert found.operation == ("absorption refrigerator" if coupling else "idle")
    if coupling:
        assert 0 < found.coefficient < found.carnot_coefficient


@pytest.mark.slow
@pytest.mark.parametrize("splittings", [(1.0, 4.0), (1.5, 1.5)], ids=str)
def test_three_qubit_gradient(splittings):
    """dJ/dg and dJ/dT of the cold bath against differences of the reference, levels apart and equal."""
    temperatures = np.array([1.0, 1.1, 5.0])
    cooling = lambda g, t: three_qubits(np.array(splittings), g, t)[1].heat_currents[0]  # noqa: E731
    by_coupling, by_temperature = jax.jit(jax.grad(cooling, argnums=(0, 1)))(0.2, temperatures)
    plain = lambda g, t: dense_refrigerator(splittings, g, t).heat_currents()[0]  # noqa: E731
    wanted = two_point_slope(lambda g: plain(g, temperatures), 0.2, 1e-4)
    np.testing.assert_allclose(by_coupling, wanted, rtol=1e-6)
    wanted = [two_point_slope(lambda t: plain(0.2, t), temperatures, 1e-4, each) for each in np.eye(3)]
    np.testing.assert_allclose(by_temperature, wanted, rtol=1e-6)


@jax.jit
def rectify(splittings, coupling, temperatures, strengths):
    machine = qdb.models.heat_rectifier(splittings, coupling, temperatures, strengths=strengths)
    generator = qdb.davies(*machine)
    return thermodynamics.rectification(generator, between=("left", "right"))


@pytest.mark.parametrize(
    ("splittings", "strengths", "lowest", "highest"),
    [
        ((1.0, 0.2), (0.01, 0.01), 0.3, 1),
        ((1.0, 1.0), (0.01, 0.01), 0, 0),
        ((1.0, 1.0), (0.01, 0.05), 1e-3, 1),
        ((6.0, 0.1), (0.01, 0.01), 0.99, 1),
    ],
    ids=("unequal", "equal", "unequal coupling", "diode"),
)
def test_rectifier(splittings, strengths, lowest, highest):
    """Both currents against the reference, R from them; none for two equal qubits, nearly all for a stiff one."""
    coupling, hot, cold = 0.5, 1.0, 0.2
    found = rectify(np.array(splittings), coupling, np.array([hot, cold]), np.array(strengths))
    hamiltonian = ising_hamiltonian(splittings, {(0, 1): coupling})
    currents = [
        Davies(hamiltonian, list(zip(flips(2), strengths, [20.0] * 2, pair, strict=True))).heat_currents()
        for pair in ((hot, cold), (cold, hot))
    ]
    np.testing.assert_allclose([found.forward, found.backward], currents, rtol=1e-9, atol=1e-12)
    assert found.forward[0] > 0 > found.backward[0] and int(found.status) == 0
    first, second = abs(currents[0][0]), abs(currents[1][0])
    np.testing.assert_allclose(found.coefficient, abs(first - second) / max(first, second), rtol=1e-6, atol=1e-9)
    assert lowest - 1e-9 <= found.coefficient <= highest + 1e-9
    assert repr(found).startswith("Rectification(") and "status=ok" in repr(found)


def test_no_rectification_without_current():
    """Equal temperatures: nothing flows either way, and R is undefined."""
    found = rectify(np.array([1.0, 0.2]), 0.5, np.array([0.7, 0.7]), np.full(2, 0.01))
    assert np.isnan(found.coefficient) and np.abs(found.forward).max() < 1e-15


@jax.jit
def amplify(splittings, temperatures):
    machine = qdb.models.heat_transistor(splittings, [0.5, 0.45, 0.05], temperatures)
    generator = qdb.davies(*machine)
    by_base = [thermodynamics.amplification(generator, control="base", output=each) for each in ("emitter", 2)]
    return jnp.stack(by_base)


@pytest.mark.slow
@pytest.mark.parametrize("base", [0.08, 0.18])
def test_transistor(base):
    """Amplification against differences of the reference; what the base takes emitter and collector give."""
    splittings, temperatures = np.array([0.1, 0.05, 0.12]), np.array([0.2, base, 0.02])
    found = amplify(splittings, temperatures)
    hamiltonian = ising_hamiltonian(splittings, {(0, 1): 0.5, (1, 2): 0.45, (2, 0): 0.05})

    def heat(temperature):
        at = temperatures.copy()
        at[1] = temperature
        return Davies(hamiltonian, list(zip(flips(3), [0.01] * 3, [20.0] * 3, at, strict=True))).heat_currents()

    by_base = slope(heat, base, 1e-3)
    np.testing.assert_allclose(found, by_base[[0, 2]] / by_base[1], rtol=1e-4)
    np.testing.assert_allclose(np.sum(found), -1, atol=1e-6)
    assert base > 0.1 or np.abs(found).min() > 5
