"""qdbjax run of an evolution: its numbers against closed forms, with and without a sweep, and what is refused."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import xarray

from qdbjax.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples/05_relaxation_over_temperature.toml"

JOB = """
[system]
model = "qubit"
splitting = 1.0

[[baths]]
name = "bath"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
temperature = 0.5

[evolution]
initial = { level = 1 }
times = { values = [0.0, 1.0, 7.0] }

[observables]
z = { pauli = "z" }

[output]
quantities = ["populations", "micro_currents", "energies"]
"""


def rates(temperature):
    strength = 2 * np.pi * 0.01 * np.exp(-0.1)
    return strength / -np.expm1(-1 / temperature), strength / np.expm1(1 / temperature)


def test_example(tmp_path, capsys):
    assert main(["run", str(EXAMPLE), "--output", str(tmp_path)]) == 0
    assert "coherence" in capsys.readouterr().out
    data = xarray.open_zarr(tmp_path / f"{EXAMPLE.stem}.zarr", consolidated=False).load()
    assert data["populations"].dims == ("T", "time", "level") and data["heat_currents"].dims == ("T", "time", "bath")
    temperature, time = data["T"].values[:, None], data["time"].values[None, :]
    down, up = rates(temperature)
    # The excited state is the first of σ_z; the ket (0.6, 0.8) starts with 0.36 in it.
    excited = up / (down + up) + (0.36 - up / (down + up)) * np.exp(-(down + up) * time)
    np.testing.assert_allclose(data["populations"].values[..., 1], excited, atol=1e-9)
    coherence = 0.96 * np.cos(time) * np.exp(-0.5 * (down + up) * time)
    np.testing.assert_allclose(data["coherence"].values, coherence, atol=1e-9)
    heat = up * (1 - excited) - down * excited
    np.testing.assert_allclose(data["heat_currents"].values[..., 0], heat, atol=1e-9)
    assert (tmp_path / f"{EXAMPLE.stem}.png").stat().st_size > 30_000
    assert not data["status"].values.any()


def test_without_sweep(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text(JOB)
    assert main(["run", str(job), "--output", str(tmp_path), "--quiet"]) == 0
    data = xarray.open_zarr(tmp_path / "job.zarr", consolidated=False).load()
    down, up = rates(0.5)
    excited = up / (down + up) + down / (down + up) * np.exp(-(down + up) * np.array([0.0, 1.0, 7.0]))
    np.testing.assert_allclose(data["populations"].values, np.stack([1 - excited, excited], 1), atol=1e-9)
    np.testing.assert_allclose(data["z"].values, 2 * excited - 1, atol=1e-9)
    lifted = up * (1 - excited) - down * excited
    np.testing.assert_allclose(data["micro_currents"].sel(to=1)[:, 0, 0].values, lifted, atol=1e-9)
    assert data["energies"].dims == ("level",) and data["status"].dims == ()
    assert (tmp_path / "job.png").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{ level = 1 }", "{ level = 2 }", "evolution.initial.level: must be from 0 to 1; got 2"),
        ("{ level = 1 }", "{ level = 1, site = 0 }", "evolution.initial: give one of {level}"),
        ("{ level = 1 }", "{ ket = [1, 1] }", "evolution.initial: state must have trace 1; got 2, 1 off"),
        ("{ level = 1 }", "{ ket = [1, 0, 0] }", "evolution.initial: state must have dimension 2"),
        ("{ level = 1 }", "{ matrix = [[2, 0], [0, -1]] }", "evolution.initial: state must be positive"),
        ("[0.0, 1.0, 7.0]", "[0.0, 7.0, 1.0]", "evolution.times: times must be >= 0 and ascend"),
        ("[0.0, 1.0, 7.0]", "[-1.0, 7.0]", "evolution.times: times must be >= 0 and ascend"),
        ("z = ", "populations = ", "observables.populations: the name is taken"),
        ('{ pauli = "z" }', "{ lower = 0 }", "observables.z: operator must be Hermitian"),
        ('{ pauli = "z" }', "{ matrix = [[1]] }", "observables.z: must have shape (2, 2)"),
        ('"energies"', '"residual"', "residual belongs to stationary states"),
        ("initial =", "inital =", "evolution.inital: unknown key; did you mean 'initial'"),
        ("[evolution]", "[evolutoin]", "evolutoin: unknown key; did you mean 'evolution'"),
    ],
)
def test_refused_in_one_line(tmp_path, capsys, old, new, words):
    assert old in JOB
    job, out = tmp_path / "job.toml", tmp_path / "out"
    job.write_text(JOB.replace(old, new, 1))
    assert main(["run", str(job), "--output", str(out)]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not out.exists()


def test_nothing_to_do(tmp_path, capsys):
    job = tmp_path / "job.toml"
    job.write_text(JOB[: JOB.index("[evolution]")])
    assert main(["run", str(job), "--output", str(tmp_path / "out")]) == 2
    assert "give [sweep.NAME] for stationary states, [evolution]" in capsys.readouterr().err
