"""What notebooks show: small tables with the numbers of the result, names escaped, no scripts."""

import html.parser
import importlib

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

OHMIC = qdb.Ohmic(0.01, cutoff=10.0)
EVIL = "<script>alert('hot & cold')</script>"


class Page(html.parser.HTMLParser):
    """The tags that were opened and must be closed, and the text of each row."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.rows, self.text = [], set(), [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def page_of(thing):
    page = Page(thing._repr_html_())
    assert not page.open and page.seen <= {"div", "strong", "table", "thead", "tbody", "tr", "td", "th", "pre"}
    return page


def generator_of(temperature):
    hot = qdb.Bath(qdb.sigma_x(), OHMIC, temperature=temperature, name=EVIL)
    return qdb.davies(0.5 * qdb.sigma_z(), [hot, qdb.Bath(qdb.sigma_x(), OHMIC, temperature=0.5)])


def test_generator_and_stationary_state_are_tables_of_their_numbers():
    generator = generator_of(1.0)
    page = page_of(generator)
    assert page.rows[0] == ["bath", "temperature", "fastest rate"]
    assert page.rows[1][:2] == [EVIL, "1"] and page.rows[2][1] == "0.5"
    assert float(page.rows[2][2]) == float(f"{float(np.asarray(generator.rates)[1].max()):.3g}")
    steady = qdb.steady_state(generator)
    page = page_of(steady)
    assert page.rows[0] == ["level", "energy", "population"]
    assert [row[1] for row in page.rows[1:]] == ["-0.5", "0.5"]
    np.testing.assert_allclose([float(row[2]) for row in page.rows[1:]], steady.populations, rtol=1e-5)
    assert "status: ok" in page.text


def test_what_exchanges_particles_says_at_which_potential():
    lead = qdb.Lead(qdb.fermion_destroy(0, 1), qdb.Flat(0.01), temperature=1.0, chemical_potential=0.25, name="left")
    page = page_of(qdb.davies(qdb.models.quantum_dot(0.3), [lead]))
    assert page.rows[1][:3] == ["left", "1", "0.25"]


def evolution(account=None):
    """Of two levels; what a notebook shows of it needs no integration."""
    times = jnp.array([0.0, 1.0, 5.0])
    upper = jnp.exp(-times)
    return qdb.Evolution(
        times, jnp.stack([1 - upper, upper], axis=1), None, {EVIL: 2 * upper - 1}, None, None, account, jnp.asarray(0)
    )


def test_evolution_shows_how_it_began_and_ended():
    """Expectation values, populations, and of a driven one the heat and work so far."""
    page = page_of(evolution())
    last = np.exp(-5.0)
    assert page.rows[0] == ["t = 0", "t = 5"]
    assert [row[:2] for row in page.rows[1:]] == [
        [f"⟨{EVIL}⟩", "1"],
        ["population of level 0", "0"],
        ["population of level 1", "1"],
    ]
    shown = [float(row[2]) for row in page.rows[1:]]
    np.testing.assert_allclose(shown, [2 * last - 1, 1 - last, last], rtol=1e-5)
    assert "times: 3" in page.text and "status: ok" in page.text
    heat, work = jnp.array([[0.0, 0.0], [0.1, 0.2], [0.25, -0.5]]), jnp.array([0.0, 1.0, 1.5])
    account = type_of_account()(heat, heat, work, 2 * work, work)
    page = page_of(evolution(account))
    found = {row[0]: float(row[2]) for row in page.rows[1:]}
    assert found["heat from bath 0 so far"] == 0.25 and found["heat from bath 1 so far"] == -0.5
    assert found["work so far"] == 4.5  # chemical work is work


def type_of_account():
    return importlib.import_module("qdbjax.solvers.integration").Account


def test_many_evolutions_are_text():
    many = jax.tree.map(lambda x: jnp.stack([x, x]), evolution())
    page = page_of(many)
    assert page.seen == {"pre"} and page.text == repr(many) and "batch=(2,)" in page.text


def test_fit_shows_values_and_what_the_data_do_not_tell():
    """A value at its bound, a pair of which only the product is seen, starts; all that its text says."""
    model = lambda x, y, z: {EVIL: x * y, "z": z}  # noqa: E731
    objective = {EVIL: qdb.fitting.match(2.0, error=0.1), "z": qdb.fitting.match(3.0, error=0.1)}
    free = {"x": qdb.fitting.positive(1.0), "y": qdb.fitting.positive(1.0)}
    found = qdb.fit(model, objective, {**free, "z": qdb.fitting.bounded(0.5, low=0.0, high=1.0)}, starts=2)
    page = page_of(found)
    assert page.rows[0] == ["parameter", "value", "standard error", "95 % interval"]
    shown = {row[0]: row[1:] for row in page.rows[1:]}
    assert list(shown) == ["x", "y", "z"]
    np.testing.assert_allclose(float(shown["x"][0]) * float(shown["y"][0]), 2.0, rtol=1e-4)
    np.testing.assert_allclose(float(shown["z"][0]), 1.0, rtol=1e-6)
    assert f"{EVIL}: 2" in page.text and "target not attained" in page.text
    lines = repr(found).splitlines()
    remarks = lines[lines.index("  z: 1. for 3.") + 1 :]
    assert any("z lies at its upper bound 1" in line for line in remarks)
    assert any("of 2 starts came to this loss" in line for line in remarks)
    assert any("not seen" in line for line in remarks)
    for line in remarks:
        assert line.strip() in page.text


def test_a_fit_without_errors_has_no_columns_for_them():
    found = qdb.fit(lambda x: (x - 3) ** 2, qdb.fitting.minimize(), {"x": qdb.fitting.real(1.0)})
    page = page_of(found)
    assert page.rows[0] == ["parameter", "value"] and page.rows[1][0] == "x" and len(page.rows[1]) == 2
    np.testing.assert_allclose(float(page.rows[1][1]), 3.0, atol=1e-5)


def test_batches_and_tracers_are_text():
    """Their numbers are many, or not there."""
    steady = jax.vmap(lambda t: qdb.steady_state(generator_of(t)))(jnp.array([1.0, 2.0]))
    page = page_of(steady)
    assert page.seen == {"pre"} and page.text == repr(steady)
    shown = []
    jax.jit(lambda t: shown.append(page_of(generator_of(t))) or t)(1.0)
    assert shown[0].text.startswith("Generator(") and EVIL in shown[0].text


def test_long_tables_end():
    page = Page(qdb._repr.html_table("many", ("n",), [(f"{n}",) for n in range(40)]))
    assert page.rows[12] == ["11"] and page.rows[13] == ["… 28 more"] and len(page.rows) == 14
