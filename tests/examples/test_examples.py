"""Examples and the README do what they say."""

import re
import runpy
import time
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from reference import rates

import qdbjax as qdb
from qdbjax.cli.main import main

ROOT = Path(__file__).parents[2]


def current(T_hot, flux):
    """The current of example 01 from its own lines, through the dense Liouvillian."""
    baths = [qdb.Bath(qdb.site(n, 3), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for n, T in enumerate((T_hot, 0.2))]
    generator = qdb.davies(qdb.models.three_dot_ring(0.5, flux), baths)
    return qdb.heat_currents(generator, qdb.steady_state(generator, qdb.solvers.Dense()))


def by_rates(T_hot, T_cold, flux):
    """Heat from the hot bath by plain NumPy: golden-rule rates between Fourier levels, |⟨m|S|n⟩|² = 1/9."""
    energies = np.cos(2 * np.pi * (flux + np.arange(3)) / 3)
    tables = [
        rates.golden_rule(energies, (1 - np.eye(3)) / 3, lambda w: 0.01 * w * np.exp(-w / 10), lambda w, T=T: 1 / T)
        for T in (T_hot, T_cold)
    ]
    return rates.heat(energies, tables[0], rates.stationary(sum(tables)))


def test_example_01_runs_in_time_and_agrees_with_the_dense_solver(tmp_path):
    start = time.perf_counter()
    assert main(["run", str(ROOT / "examples/01_three_dot_currents.toml"), "--output", str(tmp_path)]) == 0
    assert time.perf_counter() - start < 60  # 10 s on two idle cores
    data = xarray.open_zarr(tmp_path / "01_three_dot_currents.zarr", consolidated=False).load()
    assert data["heat_currents"].sizes == {"T_hot": 200, "flux": 200, "bath": 2}
    assert (tmp_path / "01_three_dot_currents.png").stat().st_size > 50_000
    heat = data["heat_currents"].values
    assert np.isfinite(heat).all()
    assert np.abs(heat.sum(-1)).max() < 1e-12 * np.abs(heat).max()  # first law
    assert heat[..., 0].min() > -1e-12 * heat.max()  # heat flows from hot to cold
    rows, columns = [0, 57, 199, 150], [20, 99, 0, 133]  # flux 0 is an exact crossing
    cells = jnp.asarray(data["T_hot"].values[rows]), jnp.asarray(data["flux"].values[columns])
    dense = jax.jit(jax.vmap(current))(*cells)
    np.testing.assert_allclose(heat[rows, columns], dense, rtol=1e-8, atol=1e-15)


@pytest.mark.slow
def test_readme_program(tmp_path, monkeypatch, capsys):
    program, gas, balance, kept, refined = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    found = {"__name__": "readme"}
    exec(compile(program, "README.md", "exec"), found)
    assert "status=ok" in capsys.readouterr().out
    heat = np.asarray(qdb.heat_currents(found["generator"], found["steady"]))
    np.testing.assert_allclose(heat[0], by_rates(1.0, 0.2, 0.3), rtol=1e-11)
    assert f"[ {heat[0]:.5f} {heat[1]:.5f}]: hot, cold" in program
    step = 1e-4
    difference = (found["heat_current"](1.0 + step, 0.3) - found["heat_current"](1.0 - step, 0.3)) / (2 * step)
    np.testing.assert_allclose(found["conductance"], difference, rtol=1e-6)
    assert found["data"]["heat_current"].shape == (60, 90)
    assert {path.name for path in tmp_path.iterdir()} == {"heat_current.png", "levels.png"}
    exec(compile(gas, "README.md", "exec"), found)
    exec(compile(balance, "README.md", "exec"), {**found})
    said = capsys.readouterr().out
    assert "driven steady state" in said and "decisive: " in said
    for _ in range(2):  # the second time nothing is left to do
        exec(compile(kept, "README.md", "exec"), {**found})
    stored = xarray.open_zarr("run.zarr", consolidated=False)
    np.testing.assert_allclose(stored["heat_current"].values, found["data"]["heat_current"].values, rtol=1e-12)
    exec(compile(refined, "README.md", "exec"), refined_run := {**found})
    assert 300 < refined_run["found"].sizes["point"] <= 5000 and (tmp_path / "refined.png").stat().st_size > 10_000
    loop = np.asarray(qdb.balance.probability_currents(found["generator"]))
    assert abs(loop[0, 1]) > 1e-6 and np.abs(loop.sum(axis=1)).max() < 1e-15


@pytest.mark.parametrize("name", ["README.md", "examples/README.md"])
def test_files_that_are_named_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in re.findall(r"examples/[\w./]+\.(?:toml|md|png)", text):
        assert (ROOT / path).is_file(), path


def test_examples_are_numbered_and_parse():
    files = sorted((ROOT / "examples").glob("*.toml"))
    assert files
    for file in files:
        assert re.match(r"\d\d_[a-z0-9_]+\.toml", file.name)
        sections = tomllib.loads(file.read_text(encoding="utf-8")).keys()
        assert {"system", "baths"} <= sections and sections & {"sweep", "fit"}


PRINTED = {
    "02_thermalisation": r"entropy produced 0\.9253\d\d nats, relative entropy to Gibbs lost 0\.9252\d\d nats",
    "03_double_dot": r"largest current 2\.\d+e-03",
    "04_dark_state": r"dark      excited at t = 40: 1\.000000, for ever: 1\.000000",
    "06_broken_detailed_balance": r"= 1\.5016156697, I\(0, \+\) = 1\.4542102495, I\(0, -\) = 0\.8722540427",
    "07_loop_current": r"largest loop current 3\.116e-04 at temperature 4\.00, flux [0-3]\.00; ok",
    "08_largest_loop_current": r"loop current 5\.527e-05 -> \d\.\d+e-03[^\n]*\n[^\n]* inside its bounds \de-0[4-9]",
    "09_refrigerator_map": r"cooling 6\.834e-04, COP up to (0\.99\d|1\.000) of[^\n]*\n[^\n]* 0\.273 of Carnot's\nok",
    "10_balance_reports": r"equilibrium: detailed balance holds(.|\n)*driven steady(.|\n)*: 0 –hot→ 1 –hot→ 2",
    "11_equal_temperatures": r"affinity -1\.125000 = mu/T, entropy production 1\.304e-03, Onsager asymmetry 0\.24",
    "12_noise_and_precision": r"noise = 1\.0000000\d+ (.|\n)*Fano factor 0\.55557\d(.|\n)*ratio 1\.00\d+ >= 1",
    "13_spectral_density_from_currents": r"point 0\.\d\d; J off by 0\.\d%(.|\n)*all positive: True; free reals 19",
}


COARSER = {"07_loop_current": (100,)}  # points a side: the same corner of the map is the largest
LONG = {
    "02_thermalisation",
    "10_balance_reports",
    "04_dark_state",
    "07_loop_current",
    "03_double_dot",
    "08_largest_loop_current",
    "09_refrigerator_map",
    "11_equal_temperatures",
    "12_noise_and_precision",
    "13_spectral_density_from_currents",
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in PRINTED])
def test_python_example(name, tmp_path, capsys):
    """Each runs, says what it should, and draws its figure."""
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"](tmp_path, *COARSER.get(name, ()))
    assert re.search(PRINTED[name], capsys.readouterr().out)
    assert (tmp_path / f"{name}.png").stat().st_size > 15_000
