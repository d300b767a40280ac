"""Examples that fit: what they find against plain NumPy, closed forms and the second law."""

import re
import runpy
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import jax
import numpy as np
import pytest
from reference.rates import golden_rule, heat, stationary
from scipy.optimize import brentq, minimize

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, folder, capsys):
    """What main returns, what it prints, and the names of the file; its figure is checked for being drawn."""
    with jax.numpy_dtype_promotion("standard"):  # optimistix relies on it
        names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
        found = names["main"](folder)
    assert (folder / f"{name}.png").stat().st_size > 15_000
    return found, capsys.readouterr().out, names


def ohmic(strength, cutoff):
    return lambda w: strength * w * np.exp(-w / cutoff)


def flip(m, n, d=3):
    found = np.zeros((d, d))
    found[m, n] = found[n, m] = 1.0
    return found


def held(p, leak, strength=0.01, cutoff=10.0):
    """Temperatures (hot, cold) that hold populations p of levels 0, 1, 2.3, and the price: the loop in closed form."""
    rate = lambda w: 2 * np.pi * strength * w * np.exp(-w / cutoff)  # noqa: E731
    n = lambda w, T: 1 / np.expm1(w / T)  # noqa: E731
    down = lambda w, T, low, high: rate(w) * ((n(w, T) + 1) * high - n(w, T) * low)  # noqa: E731
    cold = brentq(lambda T: down(1.0, T, p[0], p[1]) - leak**2 * down(1.3, T, p[1], p[2]), 0.05, 20.0, xtol=1e-14)
    current = down(1.0, cold, p[0], p[1])
    quanta = (current / rate(2.3) + p[2]) / (p[0] - p[2])
    hot = 2.3 / np.log1p(1 / quanta)
    return hot, cold, 2.3 * current * (1 / cold - 1 / hot)


@pytest.mark.slow
def test_14_hold_a_state(tmp_path, capsys):
    """Temperatures and price from the loop current; the best fidelity of a diagonal state; where holding ends."""
    (inverted, coherent, *family), said, names = run("14_hold_a_state", tmp_path, capsys)
    leak, coherence, ground, upper = (names[x] for x in ("LEAK", "COHERENCE", "GROUND", "UPPER"))
    assert inverted.verdict == "converged" and abs(inverted.loss) < 1e-8
    hot, cold, price = held([0.5, 0.2, 0.3], leak)
    np.testing.assert_allclose([inverted.values["hot"], inverted.values["cold"]], [hot, cold], rtol=1e-4)
    np.testing.assert_allclose(inverted.outputs["entropy_production"], price, rtol=1e-4)
    # Over diagonal states F = (√(σ₀₀ρ₀₀) + √F₁₂)² is largest at σ₀₀ + the larger eigenvalue of [[σ₁₁, √det], [·, σ₂₂]].
    det = np.sqrt(0.2 * 0.3 - coherence**2)
    best = 0.5 + np.linalg.eigvalsh([[0.2, det], [det, 0.3]])[1]
    assert coherent.verdict == "stalled" and said.count("target not attained: the optimum stays away from it") == 1
    np.testing.assert_allclose(coherent.loss, 1 - best, rtol=1e-6)
    # Even at T = 0 the cold bath fills level 1 at k₂₁p₂ and empties it at k₁₀p₁: more of level 2 cannot be held.
    most = 0.5 / (1 + leak**2 * 1.3 * np.exp(-0.03))
    assert f"{most:.4f}" in said and ground == 0.5
    for fit, top in zip(family, upper, strict=True):
        assert (fit.verdict == "converged") == (top < most), (top, fit.verdict)
        if fit.verdict == "converged":
            _, _, price = held([ground, 1 - ground - top, top], leak)
            assert price > 0
            np.testing.assert_allclose(fit.outputs["entropy_production"], price, rtol=1e-3)
    assert upper[0] < most < upper[-1]


@pytest.mark.slow
def test_15_population_inversion(tmp_path, capsys):
    """Populations, loop current, affinity and the ratio without loop, from β(ω) in NumPy."""
    fit, said, names = run("15_population_inversion", tmp_path, capsys)
    centre, width = fit.values["light.0"], fit.values["light.1"]

    def beta(w):
        passed = 1 / (1 + ((w - centre) / width) ** 2)
        quanta = (1 - passed) / np.expm1(w / names["COLD"]) + passed / np.expm1(w / names["HOT"])
        return np.log1p(1 / quanta) / w

    energies = names["ENERGIES"]
    table = golden_rule(energies, flip(0, 2) + flip(1, 2) + names["WEAK"] * flip(0, 1), ohmic(0.01, 10.0), beta)
    p = stationary(table)
    assert fit.verdict == "converged" and p[1] > 2 * p[0]
    np.testing.assert_allclose(p, names["WANTED"], atol=1e-6)
    tree = np.exp(beta(1.5) * 1.5 - beta(2.5) * 2.5)
    found = re.search(r"without 0-1: ([\d.]+); by local temperatures: ([\d.]+)", said)
    np.testing.assert_allclose([float(x) for x in found.groups()], tree, rtol=1e-8)
    affinity = beta(1.0) + np.log(tree)
    current = table[2, 0] * p[0] - table[0, 2] * p[2]
    assert current > 0 and "detailed balance is broken within a bath" in said
    assert "heat into the system: light +0;" in said  # one stationary bath brings none, to rounding
    found = re.search(r"affinity ([\d.]+), ([\d.e-]+) turns per time", said)
    np.testing.assert_allclose([float(x) for x in found.groups()], [affinity, current], rtol=2e-4)


@pytest.mark.slow
def test_16_heat_diode(tmp_path, capsys):
    """Currents of four levels by rates; the filter by another optimizer, from several starts, with the exact bound."""
    fit, said, names = run("16_heat_diode", tmp_path, capsys)
    (left, right), g, height = names["SPLITTINGS"], names["COUPLING"], names["HEIGHT"]
    up = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    energies = 0.5 * left * up[0] + 0.5 * right * up[1] + g * up[0] * up[1]
    flips = flip(0, 2, 4) + flip(1, 3, 4), flip(0, 1, 4) + flip(2, 3, 4)

    def diode(density):
        found = []
        for temperatures in ((names["HOT"], names["COLD"]), (names["COLD"], names["HOT"])):
            each = zip(flips, (density, ohmic(0.01, 20.0)), temperatures, strict=True)
            tables = [golden_rule(energies, s, J, lambda w, T=T: 1 / T) for s, J, T in each]
            found.append(heat(energies, tables[0], stationary(sum(tables))))
        forward, backward = found
        return forward, abs(forward + backward) / max(abs(forward), abs(backward))

    def behind(logarithms):
        frequency, width = np.exp(logarithms)
        square = height * width * frequency
        return diode(lambda w: square * width * w / ((w**2 - frequency**2) ** 2 + (width * w) ** 2))

    bound = {"type": "ineq", "fun": lambda x: behind(x)[0] / names["LEAST"] - 1}
    ends = [
        minimize(lambda x: -behind(x)[1], np.log([frequency, 0.3]), constraints=bound, method="SLSQP")
        for frequency in (0.6, 1.0, 1.3, 1.6)
    ]
    best = min((end for end in ends if end.success), key=lambda end: end.fun)
    found = np.log([fit.values["frequency"], fit.values["width"]])
    np.testing.assert_allclose(found, best.x, atol=2e-3)
    np.testing.assert_allclose(behind(found), [names["LEAST"], -best.fun], rtol=5e-4)
    printed = [float(x) for x in re.findall(r"rectification ([\d.]+), heat", said)]
    np.testing.assert_allclose(printed[0], diode(ohmic(0.01, 20.0))[1], atol=1e-6)
    np.testing.assert_allclose(printed[2], behind(found)[1], atol=1e-6)
    assert fit.verdict == "converged" and fit.status == 0


@pytest.mark.slow
def test_17_efficiency_and_power(tmp_path, capsys):
    """Every point of the front by rates, both ends and the middle by another search, Carnot's bound."""
    front, _, names = run("17_efficiency_and_power", tmp_path, capsys)
    temperatures, unit = (names["HOT"], names["COLD"], names["WORK"]), names["UNIT"]
    couplings = flip(0, 2) + names["LEAK"] * flip(1, 2), flip(1, 2), flip(0, 1)

    def engine(hot_gap, share):
        energies = np.array([0.0, share * hot_gap, hot_gap])
        each = zip(couplings, names["STRENGTHS"], temperatures, strict=True)
        tables = [golden_rule(energies, s, ohmic(eta, 20.0), lambda w, T=T: 1 / T) for s, eta, T in each]
        p = stationary(sum(tables))
        hot, cold, work = (heat(energies, table, p) for table in tables)
        return np.array([-work / (max(hot, 0) + max(cold, 0)), -work])

    made = np.array([engine(fit.values["hot_gap"], fit.values["share"]) for fit in front.fits])
    np.testing.assert_allclose(front.outcomes, made, rtol=1e-5)
    for n in (0, len(front.weights) // 2, len(front.weights) - 1):
        w = front.weights[n]
        value = lambda made, w=w: (1 - w) * made[0] + w * made[1] / unit  # noqa: E731
        search = minimize(lambda x: -value(engine(*x)), [2.0, 0.6], method="Nelder-Mead", options={"xatol": 1e-7})  # noqa: B023
        np.testing.assert_allclose(value(front.outcomes[n]), -search.fun, rtol=1e-5)
    carnot = 1 - names["COLD"] / names["HOT"]
    assert np.all(front.outcomes[:, 0] < carnot) and np.all(front.outcomes[:, 1] > 0)
    assert np.all(np.diff(front.outcomes[:, 0]) < 0) and np.all(np.diff(front.outcomes[:, 1]) > 0)
    assert np.all(front.efficient) and all(fit.verdict == "converged" and fit.status == 0 for fit in front.fits)
