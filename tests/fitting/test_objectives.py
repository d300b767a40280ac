"""What a fit can aim at beside stationary currents: decay rates, trajectories, micro-currents, noise, balance, COP."""

import jax.numpy as jnp
import numpy as np
import pytest

import qdbjax as qdb
from qdbjax import balance, fitting, thermodynamics

TIMES = np.linspace(0.0, 40.0, 9)
PLANTED = {"strength": 0.03, "T_cold": 0.5}


def rates_of(strength, tilt):
    bath = qdb.Bath(qdb.sigma_x() + tilt * qdb.sigma_z(), qdb.Ohmic(strength, 5.0), temperature=0.8)
    rates = qdb.decay_rates(qdb.davies(qdb.models.qubit(1.0), bath))
    # Strong dephasing: the populations relax slowest.
    return {"T1": 1 / rates[1], "T2": 1 / rates[2]}


def test_relaxation_times():
    """A strength and a tilt of the coupling from T₁ and T₂, whose closed forms can be inverted by hand."""
    found = qdb.fit(
        rates_of,
        {"T1": fitting.match(10.0), "T2": fitting.match(4.0)},
        {"strength": fitting.positive(0.02), "tilt": fitting.positive(1.0)},
    )
    scale = 0.1 * np.tanh(0.5 / 0.8) / (2 * np.pi * np.exp(-0.2))  # 1/T₁ = 2πη e^{-ω/ω_c} coth(ω/2T)
    tilt = np.sqrt((0.25 - 0.05) / (4 * np.pi * scale * 0.8))  # 1/T₂ = 1/2T₁ + 4πηT tilt²
    np.testing.assert_allclose([found.values["strength"], found.values["tilt"]], [scale, tilt], rtol=1e-6)


def trajectory(strength, temperature):
    bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(strength, 10.0), temperature=temperature)
    return qdb.evolve(qdb.davies(qdb.models.qubit(1.0), bath), [1.0, 0.0], TIMES, save="populations").populations[:, 1]


@pytest.mark.slow
def test_trajectory():
    """Strength and temperature from a decay; `evolve` allows derivatives in reverse only, which the fit finds out."""
    scale = 2 * np.pi * 0.012 * np.exp(-0.1)
    down, up = scale / -np.expm1(-1 / 0.6), scale / np.expm1(1 / 0.6)
    excited = up / (down + up) + down / (down + up) * np.exp(-(down + up) * TIMES)
    free = {"strength": fitting.positive(0.03), "temperature": fitting.positive(0.3)}
    found = qdb.fit(trajectory, fitting.match(excited), free)
    np.testing.assert_allclose([found.values["strength"], found.values["temperature"]], [0.012, 0.6], rtol=1e-6)
    with pytest.raises(TypeError, match="custom_vjp"):
        qdb.fit(trajectory, fitting.match(excited), free, mode="forward")
    with pytest.raises(ValueError, match="mode must be 'forward', 'reverse' or None; got 'both'"):
        qdb.fit(trajectory, fitting.match(excited), free, mode="both")


def three_levels(strength, T_cold):
    outer = qdb.transition(0, 2, 3) + qdb.transition(2, 0, 3)
    baths = [
        qdb.Bath(outer, qdb.Ohmic(strength, 10.0), temperature=1.2, name="hot"),
        qdb.Bath(np.ones((3, 3)) - np.eye(3), qdb.Ohmic(0.01, 10.0), temperature=T_cold, name="cold"),
    ]
    generator = qdb.davies(qdb.models.three_level([0.0, 0.7, 1.9]), baths)
    return generator, qdb.steady_state(generator, qdb.solvers.Populations())


def flows(strength, T_cold):
    generator, steady = three_levels(strength, T_cold)
    noise = thermodynamics.noise_matrix(generator, steady, [thermodynamics.counter(generator, bath="cold")])[0, 0]
    return {"micro": qdb.micro_currents(generator, steady), "noise": noise}


def broken(strength, T_cold):
    return balance.symmetry_residuals(*three_levels(strength, T_cold)).total ** 2


def by_hand(strength, T_cold):
    """Micro-currents Γ_nm p_m - Γ_mn p_n of both baths and the noise of the cold one's energy, from rates in NumPy."""
    energies = np.array([0.0, 0.7, 1.9])
    omega = energies[None, :] - energies[:, None] + np.eye(3)
    rates = []
    for eta, T, coupling in ((strength, 1.2, np.eye(3)[::-1] * (1 - np.eye(3))), (0.01, T_cold, 1 - np.eye(3))):
        size = 2 * np.pi * eta * abs(omega) * np.exp(-abs(omega) / 10)
        rates.append(size * (1 / np.expm1(abs(omega) / T) + (omega > 0)) * coupling)
    total = sum(rates) - np.diag(sum(rates).sum(axis=0))
    p = np.linalg.solve(np.vstack([total[:2], np.ones(3)]), [0.0, 0.0, 1.0])
    flows = np.stack([rate * p[None, :] for rate in rates])
    # Noise by the matrix of counted jumps, the group inverse from a least-norm solve.
    counted = -omega * rates[1]
    current = counted.sum(axis=0)
    mean = current @ p
    response = np.linalg.lstsq(np.vstack([total, np.ones(3)]), np.append(counted @ p - mean * p, 0.0), rcond=None)[0]
    return flows - flows.transpose(0, 2, 1), (counted * -omega).sum(axis=0) @ p - 2 * current @ response


@pytest.mark.slow
def test_micro_currents_and_noise():
    """Two parameters from the micro-currents of two baths and the noise of one, made in NumPy."""
    micro, noise = by_hand(**PLANTED)
    free = {"strength": fitting.positive(0.01), "T_cold": fitting.bounded(low=0.1, high=1.1)}
    found = qdb.fit(flows, {"micro": fitting.match(micro), "noise": fitting.match(noise)}, free)
    assert found.verdict == "converged"
    for name, value in PLANTED.items():
        np.testing.assert_allclose(found.values[name], value, rtol=1e-6)


@pytest.mark.slow
def test_penalty_on_broken_balance():
    """What breaks balance as the only aim: the cold bath is brought to the temperature of the hot one."""
    free = {"strength": 0.03, "T_cold": fitting.bounded(0.5, low=0.3, high=3.0)}
    found = qdb.fit(broken, fitting.minimize(1e4), free)
    np.testing.assert_allclose(found.values["T_cold"], 1.2, atol=1e-3)


def refrigerator(gap):
    machine = qdb.models.absorption_refrigerator(jnp.stack([0.0 * gap, gap, 2.5 + 0.0 * gap]), [0.8, 3.0, 1.0])
    generator = qdb.davies(*machine)
    found = thermodynamics.performance(generator, qdb.steady_state(generator, qdb.solvers.Populations()))
    return {"cop": found.coefficient, "cooling": found.heat_currents[0]}


def cooling_by_hand(gap):
    """Heat from the cold bath of the three-level cycle: one current through three pairs of levels."""
    energies = np.array([0.0, gap, 2.5])
    total, cold = np.zeros((3, 3)), 0.0
    for (low, high), T in zip(((0, 1), (1, 2), (0, 2)), (0.8, 3.0, 1.0), strict=True):
        omega = energies[high] - energies[low]
        size = 2 * np.pi * 0.01 * omega * np.exp(-omega / 20)
        total[high, low] += size / np.expm1(omega / T)
        total[low, high] += size / -np.expm1(-omega / T)
    total -= np.diag(total.sum(axis=0))
    p = np.linalg.solve(np.vstack([total[:2], np.ones(3)]), [0.0, 0.0, 1.0])
    cold = total[1, 0] * p[0] - total[0, 1] * p[1]
    return gap * cold


@pytest.mark.slow
def test_cooling_power_at_a_wanted_coefficient():
    """The most cooling by heat with and without a bound on the coefficient of performance, against a scan in NumPy."""
    free = {"gap": fitting.bounded(0.3, low=0.1, high=1.8)}  # plain BFGS jumps from here to 1.8, and stays
    found = qdb.fit(refrigerator, {"cooling": fitting.maximize(), "cop": fitting.at_least(1.3)}, free, steps=400)
    gaps = np.linspace(0.1, 1.8, 17001)
    heat = np.array([cooling_by_hand(gap) for gap in gaps])
    enough = gaps / (2.5 - gaps) >= 1.3 * (1 - 1e-9)
    assert gaps[np.argmax(heat)] < 1.3  # COP 1.08: the bound binds
    np.testing.assert_allclose(found.values["gap"], gaps[np.argmax(np.where(enough, heat, -np.inf))], atol=1e-4)
    np.testing.assert_allclose(found.outputs["cop"], 1.3, rtol=2e-6)
