"""What a run file can ask for beside currents: observables, cumulants, performance, generators, several figures."""

import tomllib

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest
import scipy.integrate
import xarray
from run_files import TWO_BATHS

import qdbjax as qdb
from qdbjax.cli.factory import generator_of
from qdbjax.cli.main import main
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.schema import RunFile

MASER = """
[system]
model = "three_level_maser"
energies = [0.0, 0.5, 1.5]
temperatures = [2.0, 0.3, 50.0]
strengths = 0.001

[performance]
work = "work"

[cumulants]
bath = "hot"
order = 2

[observables]
top = { matrix = [[0, 0, 0], [0, 0, 0], [0, 0, 1]] }
mixed = { transition = [0, 1] }

[sweep.T]
parameter = "system.temperatures.0"
values = [0.4, 1.0, 2.0]

[output]
quantities = [
    "heat_currents", "entropy_production", "populations", "cumulants", "power", "efficiency", "mode",
    "carnot_efficiency",
]
plot = [
    "power",
    { quantity = "heat_currents", select = { bath = "hot" } },
    { quantity = "cumulants", select = { order = 2 } },
]
"""
T = np.array([0.4, 1.0, 2.0])


def run(folder, text, *options):
    """The data of a run file, and the exit code."""
    (folder / "job.toml").write_text(text)
    code = main(["run", str(folder / "job.toml"), "--output", str(folder), "--quiet", *options])
    assert code == 0
    return xarray.open_zarr(folder / "job.zarr", consolidated=False).load()


@pytest.fixture(scope="module")
def maser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maser")
    return folder, run(folder, MASER)


@pytest.mark.slow
def test_performance_cumulants_and_observables(maser):
    data = maser[1]
    # Each quantum 1.5 of heat gives 0.5 of work, or takes it to bring 1.0 out of the cold bath; the machine gives power
    # while 0.5/T_work > 1.5/T_hot - 1/T_cold.
    engine = 1.5 / T - 1.0 / 0.3 < 0.5 / 50.0
    assert engine.tolist() == [False, True, True]
    np.testing.assert_allclose(data["efficiency"].values, np.where(engine, 1 / 3, -0.5), rtol=1e-9)
    np.testing.assert_allclose(data["carnot_efficiency"].values, 1 - 0.3 / T, rtol=1e-12)
    heat = data["heat_currents"].sel(bath="hot").values
    np.testing.assert_allclose(data["power"].values, heat / 3, rtol=1e-9)
    meanings = dict(zip(data["mode"].attrs["flag_values"], data["mode"].attrs["flag_meanings"].split(), strict=True))
    assert [meanings[code] for code in data["mode"].values.tolist()] == ["refrigerator", "engine", "engine"]
    assert data["cumulants"].dims == ("T", "order") and data["order"].values.tolist() == [1, 2]
    np.testing.assert_allclose(data["cumulants"].sel(order=1).values, heat, rtol=1e-9)
    # Thermodynamic uncertainty: noise/mean² >= 2/entropy produced.
    precision = data["cumulants"].sel(order=2).values / heat**2
    assert (precision >= 2 / data["entropy_production"].values).all() and (precision < 1e3 * heat**-2).all()
    np.testing.assert_allclose(data["top"].values, data["populations"].values[:, 2], rtol=1e-12)
    np.testing.assert_allclose(data["mixed"].values, 0.0, atol=1e-15)


@pytest.mark.slow
def test_several_figures(maser):
    folder = maser[0]
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == ["job-cumulants-2.png", "job-heat_currents-hot.png", "job-power.png"]
    assert all((folder / name).stat().st_size > 10_000 for name in names)


WRONG = [
    ('work = "work"', 'work = "wrok"', "performance.work: must be one of hot, cold, work; got 'wrok'"),
    ('bath = "hot"\norder', 'bath = "warm"\norder', "cumulants.bath: must be one of hot, cold, work; got 'warm'"),
    ("order = 2\n", "order = 0\n", "cumulants.order: input should be greater than or equal to 1; got 0"),
    ("order = 2 }", "order = 3 }", "output.plot.2.select.order: must be an order from 1 to 2; got 3"),
    ('work = "work"', 'work = ["work", "hot"]', "performance.work: leaves fewer than two thermal baths; got work, hot"),
    ('"power",\n', '"pwoer",\n', "output.plot: 'pwoer' must be one of heat_currents, entropy_prod"),
    (
        'select = { bath = "hot" }',
        "select = { level = 1 }",
        "output.plot.1.select: 'level' is no dimension of heat_cur",
    ),
    ('bath = "hot" }', 'bath = "hot", x = 1 }', "output.plot.1.select: 'x' is no dimension of heat_currents"),
    ("[observables]", '[generator]\nkind = "davis"\n[observables]', "generator.kind: 'davis' is unknown; allowed are"),
    ("[observables]", "[generator]\nwindow = -1.0\n[observables]", "generator.window: input should be greater than or"),
    ("[observables]", '[generator]\nkind = "low_density"\n[observables]', "generator.kind: 'low_density' is not for"),
    (
        "[observables]",
        "[generator]\nlamb_shift = 1\n[observables]",
        "generator.lamb_shift: input should be a valid bool",
    ),
    ("top = {", "mode = {", "observables.mode: the name is taken; choose another"),
    ("top = {", "T = {", "observables.T: the name is taken; choose another"),
    ("[sweep.T]", "[sweep.order]", "axis name 'order' must be a plain name"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_refused_in_one_line(tmp_path, capsys, old, new, words):
    assert old in MASER
    (tmp_path / "job.toml").write_text(MASER.replace(old, new, 1))
    assert main(["run", str(tmp_path / "job.toml"), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


PAIR = f"""
[system]
hamiltonian = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.02]]
{TWO_BATHS.replace('pauli = "x"', "matrix = [[0, 1, 0.5], [1, 0, 0], [0.5, 0, 0]]", 1)}
[sweep.T]
parameter = "baths.hot.temperature"
values = [0.5, 1.0]

[output]
quantities = ["heat_currents"]
""".replace('pauli = "x"', "matrix = [[0, 0.2, 1], [0.2, 0, 0], [1, 0, 0]]")
HAMILTONIAN = np.diag([0.0, 1.0, 1.02])


def pair(temperature):
    couplings = [[[0, 1, 0.5], [1, 0, 0], [0.5, 0, 0]], [[0, 0.2, 1], [0.2, 0, 0], [1, 0, 0]]]
    return [
        qdb.Bath(np.array(coupling, float), qdb.Ohmic(0.01, 10.0), temperature=t, name=name)
        for coupling, t, name in zip(couplings, (temperature, 0.2), ("hot", "cold"), strict=True)
    ]


MAKERS = {
    "": lambda T: qdb.davies(HAMILTONIAN, pair(T)),
    "window = 0.1": lambda T: qdb.davies(HAMILTONIAN, pair(T), window=0.1),
    'kind = "universal_lindblad"': lambda T: qdb.universal_lindblad(HAMILTONIAN, pair(T)),
    'kind = "universal_lindblad"\nlamb_shift = true': lambda T: qdb.universal_lindblad(
        HAMILTONIAN, pair(T), lamb_shift=True
    ),
}


@pytest.mark.slow
def test_generators():
    """Each as in Python, and no two the same."""
    found = []
    for text, maker in MAKERS.items():
        file = PAIR.replace("[sweep.T]", f"[generator]\n{text}\n[sweep.T]")
        parameters = Parameters(RunFile.model_validate(tomllib.loads(file)))
        found.append(generator_of(parameters.tree_with({"T": 0.5})).liouvillian())
        np.testing.assert_allclose(found[-1], maker(0.5).liouvillian(), atol=1e-12)
    for n, one in enumerate(found):
        assert all(np.abs(one - other).max() > 1e-6 for other in found[:n])


@pytest.mark.slow
def test_the_window_is_a_number_that_can_be_swept(tmp_path):
    swept = PAIR.replace('"baths.hot.temperature"\nvalues = [0.5, 1.0]', '"generator.window"\nvalues = [0.0, 0.1]')
    swept = swept.replace('name = "hot"', 'name = "hot"\ntemperature = 0.5').replace(
        "[output]", "[generator]\n[output]"
    )
    heat = run(tmp_path, swept)["heat_currents"].values
    for n, window in enumerate((0.0, 0.1)):
        wanted = qdb.heat_currents(qdb.davies(HAMILTONIAN, pair(0.5), window=window))
        np.testing.assert_allclose(heat[n], wanted, rtol=1e-9)


SHIFTED = """
[system]
model = "qubit"
splitting = 1.0

[[baths]]
name = "bath"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.05, cutoff = 10.0 }
temperature = 0.5

[generator]
lamb_shift = true

[observables]
x = { pauli = "x" }

[evolution]
initial = { ket = [0.6, 0.8] }
times = { values = [0.0, 5.0, 20.0] }

[output]
quantities = ["populations"]
"""


def test_lamb_shift(tmp_path):
    """The coherence turns with ω + s(ω) - s(-ω), s(ω) = P∫dw γ(w)/(2π(ω - w)), by SciPy's rule for such integrals."""
    found = run(tmp_path, SHIFTED)["x"].values
    noise = lambda w: 2 * np.pi * 0.05 * np.exp(-abs(w) / 10) * (w / -np.expm1(-w / 0.5) if w else 0.5)  # noqa: E731
    far = {"weight": "cauchy", "limit": 500, "epsabs": 1e-12}
    shift = [-scipy.integrate.quad(noise, -20, 400, wvar=w, **far)[0] / (2 * np.pi) for w in (1.0, -1.0)]
    times, rate = np.array([0.0, 5.0, 20.0]), noise(1.0) + noise(-1.0)
    coherence = lambda frequency: 0.96 * np.cos(frequency * times) * np.exp(-0.5 * rate * times)  # noqa: E731
    np.testing.assert_allclose(found, coherence(1.0 + shift[0] - shift[1]), atol=1e-7)
    assert np.abs(found - coherence(1.0)).max() > 0.1
