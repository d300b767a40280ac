"""What a run file may name: every density, bath, model and machine of the package, each the same as in Python."""

import inspect
import tomllib
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import qdbjax as qdb
from qdbjax.cli.factory import generator_of
from qdbjax.cli.main import main
from qdbjax.cli.parameters import Parameters
from qdbjax.cli.quantities import QUANTITIES
from qdbjax.cli.registry import BATHS, DENSITIES, MACHINES, MODELS
from qdbjax.cli.schema import RunFile

FIELD = """
[system]
model = "qubit"
splitting = 1.0

[[baths]]
kind = "field"
name = "light"
removal = { lower = 0 }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
temperature = 0.5
chemical_potential = -0.1

[[baths]]
name = "wall"
coupling = { pauli = "x" }
spectral_density = { kind = "ohmic", strength = 0.01, cutoff = 10.0 }
inverse_temperature = 4.0

[sweep.x]
parameter = "baths.light.chemical_potential"
values = [-0.5, 0.2]

[output]
quantities = ["energy_currents", "heat_currents"]
"""

LEAD = """
[system]
model = "spinful_dot"
level = 0.3
interaction = 1.0

[[baths]]
kind = "lead"
name = "left"
removal = [{ fermion_destroy = 0 }, { fermion_destroy = 1 }]
spectral_density = { kind = "flat", strength = 0.01 }
temperature = 0.5
chemical_potential = 0.4

[[baths]]
kind = "lead"
name = "right"
removal = [{ fermion_destroy = 0 }, { fermion_destroy = 1 }]
spectral_density = { kind = "lorentzian_band", strength = 0.01, center = 0.2, width = 2.0 }

[sweep.x]
parameter = "baths.right.temperature"
values = [0.2, 0.7]

[output]
quantities = ["particle_currents"]
"""

GAS = """
[system]
hamiltonian = [[0, 0.1, 0], [0.1, 1, 0], [0, 0, 2.3]]

[[baths]]
kind = "gas"
name = "slow"
potential = [[0.2, 0.5, "0.3j"], [0.5, 0.1, 0.4], ["-0.3j", 0.4, 0.3]]
temperature = 0.5
mass = 2.0

[[baths]]
kind = "gas"
name = "fast"
potential = { transition = [0, 2] }
temperature = 2.0

[sweep.x]
parameter = "baths.slow.density"
values = [0.5, 2.0]

[output]
quantities = ["heat_currents"]
"""

MASER = """
[system]
model = "three_level_maser"
energies = [0.0, 0.5, 1.5]
temperatures = [2.0, 0.3, 50.0]
strengths = 0.001

[sweep.x]
parameter = "system.temperatures.0"
values = [1.0, 2.0]

[output]
quantities = ["heat_currents"]
select = { bath = "hot" }
"""


def field(x):
    density = qdb.Ohmic(0.01, 10.0)
    light = qdb.Field(qdb.sigma_minus(), density, temperature=0.5, chemical_potential=x, name="light")
    wall = qdb.Bath(qdb.sigma_x(), density, temperature=0.25, name="wall")
    return qdb.davies(qdb.models.qubit(1.0), [light, wall])


def lead(x):
    removal = [qdb.fermion_destroy(0, 2), qdb.fermion_destroy(1, 2)]
    left = qdb.Lead(removal, qdb.Flat(0.01), temperature=0.5, chemical_potential=0.4, name="left")
    right = qdb.Lead(removal, qdb.baths.LorentzianBand(0.01, 0.2, 2.0), temperature=x, name="right")
    return qdb.davies(qdb.models.spinful_dot(0.3, 1.0), [left, right])


def gas(x):
    potential = np.array([[0.2, 0.5, 0.3j], [0.5, 0.1, 0.4], [-0.3j, 0.4, 0.3]])
    hop = qdb.transition(0, 2, 3) + qdb.transition(2, 0, 3)
    slow = qdb.Gas(potential, temperature=0.5, density=x, mass=2.0, name="slow")
    hamiltonian = np.array([[0, 0.1, 0], [0.1, 1, 0], [0, 0, 2.3]])
    return qdb.low_density(hamiltonian, [slow, qdb.Gas(hop, temperature=2.0, name="fast")])


def maser(x):
    return qdb.davies(*qdb.models.three_level_maser([0.0, 0.5, 1.5], [x, 0.3, 50.0], strengths=0.001))


RUNS = {
    "field": (FIELD, field, qdb.heat_currents, [-0.5, 0.2], ["light", "wall"]),
    "lead": (LEAD, lead, qdb.particle_currents, [0.2, 0.7], ["left", "right"]),
    "gas": (GAS, gas, qdb.heat_currents, [0.5, 2.0], ["slow", "fast"]),
    "machine": (MASER, maser, qdb.heat_currents, [1.0, 2.0], ["hot", "cold", "work"]),
}


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in ("gas", "lead"))) for k in RUNS])
def test_a_swept_file_of_each_kind(tmp_path, kind):
    text, generator, quantity, values, names = RUNS[kind]
    path = tmp_path / "job.toml"
    path.write_text(text)
    assert main(["run", str(path), "--output", str(tmp_path), "--quiet"]) == 0
    data = xarray.open_zarr(tmp_path / "job.zarr", consolidated=False).load()
    assert list(data["bath"].values) == names and not data["status"].values.any()

    def wanted(x):
        made = generator(x)
        return quantity(made, qdb.steady_state(made))

    wanted = jax.jit(jax.vmap(wanted))(jnp.asarray(values))
    np.testing.assert_allclose(data[quantity.__name__].values, wanted, rtol=1e-9, atol=1e-15)


def made(system, baths=""):
    """The generator of a file with this system and these baths."""
    text = f"[system]\n{system}\n{baths}\n[evolution]\ninitial = {{ level = 0 }}\ntimes = {{ values = [0.0] }}"
    return generator_of(Parameters(RunFile.model_validate(tomllib.loads(text))).tree)


MACHINE_FILES = {
    "absorption_refrigerator": (
        "energies = [0.0, 0.4, 1.5]\ntemperatures = [0.5, 2.0, 0.7]\nleak = 0.1",
        lambda: qdb.models.absorption_refrigerator([0.0, 0.4, 1.5], [0.5, 2.0, 0.7], leak=0.1),
    ),
    "three_level_maser": (
        "energies = [0.0, 0.5, 1.5]\ntemperatures = [2.0, 0.3, 50.0]\nstrengths = [0.01, 0.02, 0.03]",
        lambda: qdb.models.three_level_maser([0.0, 0.5, 1.5], [2.0, 0.3, 50.0], strengths=[0.01, 0.02, 0.03]),
    ),
    "three_qubit_refrigerator": (
        "cold_splitting = 1.0\nhot_splitting = 3.0\ncoupling = 0.1\ntemperatures = [0.5, 0.7, 2.0]",
        lambda: qdb.models.three_qubit_refrigerator(1.0, 3.0, 0.1, [0.5, 0.7, 2.0]),
    ),
    "heat_rectifier": (
        "splittings = [1.0, 2.0]\ncoupling = 0.2\ntemperatures = [0.5, 1.0]\ncutoff = 5.0",
        lambda: qdb.models.heat_rectifier([1.0, 2.0], 0.2, [0.5, 1.0], cutoff=5.0),
    ),
    "heat_transistor": (
        "splittings = [1.0, 0.5, 0.7]\ncouplings = [0.3, 0.2, 0.1]\ntemperatures = [0.5, 1.0, 2.0]",
        lambda: qdb.models.heat_transistor([1.0, 0.5, 0.7], [0.3, 0.2, 0.1], [0.5, 1.0, 2.0]),
    ),
}


@pytest.mark.parametrize("name", MACHINE_FILES)
def test_machines(name):
    """A machine brings its baths: rates as from Python."""
    table, machine = MACHINE_FILES[name]
    found, wanted = made(f'model = "{name}"\n{table}'), qdb.davies(*machine())
    assert found.names == wanted.names
    np.testing.assert_allclose(found.rates, wanted.rates, rtol=1e-12)


LEAD_ON_MODE_0 = """
[[baths]]
kind = "lead"
name = "lead"
removal = { fermion_destroy = 0 }
spectral_density = { kind = "flat", strength = 0.01 }
temperature = 0.5
"""
DOTS = {
    "quantum_dot": ("level = 0.3", lambda: qdb.models.quantum_dot(0.3), 1),
    "spinful_dot": ("level = 0.3\ninteraction = 1.0\nzeeman = 0.2", lambda: qdb.models.spinful_dot(0.3, 1.0, 0.2), 2),
    "double_dot": ("levels = [0.1, 0.4]\ntunneling = 0.2", lambda: qdb.models.double_dot([0.1, 0.4], 0.2), 2),
}


@pytest.mark.parametrize("name", DOTS)
def test_dots(name):
    table, system, modes = DOTS[name]
    lead = qdb.Lead(qdb.fermion_destroy(0, modes), qdb.Flat(0.01), temperature=0.5)
    found = made(f'model = "{name}"\n{table}', LEAD_ON_MODE_0)
    np.testing.assert_allclose(found.rates, qdb.davies(system(), lead).rates, rtol=1e-12)


def test_a_machine_with_a_bath_more_and_correlated_couplings():
    table, machine = MACHINE_FILES["heat_rectifier"]
    baths = """
[[baths]]
name = "noise"
coupling = [{ pauli = "z", site = 0 }, { pauli = "x", site = 1 }]
correlation = [[1, 0.5], [0.5, 1]]
spectral_density = { kind = "underdamped_lorentzian", strength = 0.1, frequency = 1.0, width = 0.5 }
temperature = 1.0
"""
    system, own = machine()
    flips = [qdb.embed(qdb.sigma_z(), 0, [2, 2]), qdb.embed(qdb.sigma_x(), 1, [2, 2])]
    density = qdb.UnderdampedLorentzian(0.1, 1.0, 0.5)
    noise = qdb.Bath(flips, density, temperature=1.0, correlation=[[1, 0.5], [0.5, 1]], name="noise")
    wanted = qdb.davies(system, [*own, noise])
    found = made(f'model = "heat_rectifier"\n{table}', baths)
    assert found.names == wanted.names == ("left", "right", "noise")
    np.testing.assert_allclose(found.rates, wanted.rates, rtol=1e-12, atol=1e-15)


def test_everything_that_the_package_has_can_be_named():
    """No list is kept by hand: a new class or function of these rooms is in run files at once."""
    classes = [thing for thing in vars(qdb.baths).values() if inspect.isclass(thing)]
    densities = {thing for thing in classes if issubclass(thing, qdb.baths.AbstractSpectralDensity)}
    assert set(DENSITIES.values()) == densities - {qdb.baths.AbstractSpectralDensity, qdb.baths.Custom}
    assert set(BATHS.values()) == {qdb.Bath, qdb.Field, qdb.Lead, qdb.Gas}
    functions = {name for name, thing in vars(qdb.models).items() if inspect.isfunction(thing)}
    assert set(MODELS) == functions and set(MACHINES) == set(MACHINE_FILES)


def test_everything_that_can_be_named_is_described():
    """The description of the run file has a row for each, and every quantity."""
    text = (Path(__file__).parents[2] / "examples/README.md").read_text()
    for name in [*DENSITIES, *BATHS, "hamiltonian"]:
        assert f"| `{name}" in text, name
    for name, function in MODELS.items():
        row = next(line for line in text.splitlines() if f'`model = "{name}"`' in line)
        common = {"temperatures", "strengths", "cutoff"} if name in MACHINES else set()
        assert all(f"`{key}" in row for key in set(inspect.signature(function).parameters) - common), name
    assert all(f"`{name}`" in text for name in QUANTITIES)


WRONG = [
    (FIELD, "chemical_potential = -0.1", 'chemical_potential = "x"', "input should be a valid number; got 'x'"),
    (FIELD, "chemical_potential = -0.1", "chemical_potental = 0", "baths.0.chemical_potental: unknown key; did you"),
    (FIELD, "removal = {", "coupling = {", "baths.0.coupling: unknown key; known keys are kind, removal, spectral"),
    (FIELD, "lower = 0", "lower = 0, site = 1", "baths.0.removal: give one of {site}"),
    (FIELD, "inverse_temperature = 4.0", "inverse_temperature = -4.0", "baths.wall: inverse_temperature must be >= 0"),
    (FIELD, "inverse_temperature = 4.0", "", "baths.wall.temperature: is missing; give it a value or sweep it"),
    (FIELD, "inverse_temperature", "temperature = 1.0\ninverse_temperature", "baths.wall: give exactly one of temp"),
    (FIELD, '"field"', '"feild"', "baths.0.kind: 'feild' is unknown; allowed are bath, field, lead, gas; did you mean"),
    (
        LEAD,
        "[{ fermion_destroy = 0 }",
        "[{ fermion_destroy = 2 }",
        "baths.left: mode must be between 0 and modes - 1 = 1; got 2",
    ),
    (
        LEAD,
        "{ fermion_destroy = 1 }",
        "{ fermion_destory = 1 }",
        "baths.0.removal.1.fermion_destory: unknown key; did you mean",
    ),
    (
        LEAD,
        "[{ fermion_destroy = 0 }, { fermion_destroy = 1 }]",
        "[]",
        "baths.0.removal: list should have at least 1 item",
    ),
    (LEAD, "center = 0.2, ", "", "baths.right.spectral_density.center: is missing; give it a value or sweep it"),
    (LEAD, "interaction = 1.0", "interacton = 1.0", "system.interacton: unknown key; did you mean 'interaction'"),
    (GAS, "temperature = 0.5", "temperature = 0.0", "baths.slow: temperature must be > 0 and finite; got 0.0"),
    (GAS, '["-0.3j", 0.4, 0.3]', '["0.3j", 0.4, 0.3]', "baths.slow: potential must be Hermitian"),
    (GAS, '["-0.3j", 0.4, 0.3]', "", "baths.0.potential: must be a square matrix, a list of rows of equal length"),
    (FIELD, '{ pauli = "x" }', "{ lower = 0 }", "baths.wall: coupling must be Hermitian"),
    (
        GAS,
        "potential = { transition = [0, 2] }",
        "potential = { lower = 0 }",
        "needs a system of spins; this one",
    ),
    (GAS, "mass = 2.0", "mas = 2.0", "baths.0.mas: unknown key; did you mean 'mass'"),
    (GAS, "potential = { transition = [0, 2] }", "potential = [[1]]", "baths.fast: couples to dimension 1, and the"),
    (MASER, "[2.0, 0.3, 50.0]", "[2.0, 0.3]", "system: temperatures must have shape (3,); got (2,)"),
    (MASER, "[2.0, 0.3, 50.0]", '[2.0, "a", 3]', "system.temperatures.1: input should be a valid number; got 'a'"),
    (MASER, "temperatures =", "temperature =", "system.temperature: unknown key; did you mean 'temperatures'"),
    (MASER, "system.temperatures.0", "system.temperatures.3", "'system.temperatures.3' names nothing; did you mean"),
    (MASER, 'bath = "hot"', 'bath = "room"', "output.select.bath: must be one of hot, cold, work; got 'room'"),
    (MASER, '"three_level_maser"', '"three_level"', "system.temperatures: unknown key; known keys are model, energies"),
]
CHAIN = 'model = "xxz_chain"\nfields = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]'
WRONG.append((FIELD, 'model = "qubit"\nsplitting = 1.0', CHAIN, "system.fields: list should have at most 10 items"))
COUNT = '["particle_currents"]'
WRONG.append((MASER, '["heat_currents"]', COUNT, "output.quantities: particle_currents needs a field, a lead or a"))
MIXED = 'kind = "gas"\nname = "gas"\npotential = [[1, 0], [0, 1]]\ntemperature = 1.0\n[[baths]]\nname = "wall"'
WRONG.append((FIELD, 'name = "wall"', MIXED, "baths.gas: gases and baths of other kinds cannot be mixed"))
HOT = """[[baths]]
name = "hot"
coupling = { site = 0 }
spectral_density = { kind = "flat", strength = 1 }
temperature = 1.0
"""
WRONG.append((MASER, "[output]", f"{HOT}[output]", "baths.hot: three_level_maser has a bath of this name"))


@pytest.mark.parametrize(("text", "old", "new", "words"), WRONG)
def test_wrong_files_are_refused_in_one_line(tmp_path, capsys, text, old, new, words):
    assert old in text
    path, out = tmp_path / "job.toml", tmp_path / "out"
    path.write_text(text.replace(old, new, 1))
    assert main(["run", str(path), "--output", str(out)]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.startswith("error: ") and "job.toml" in said.err
    assert said.err.count("\n") == 1 and said.out == "" and not out.exists()
