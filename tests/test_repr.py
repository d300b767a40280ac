"""What notebooks show: small tables with the numbers of the result, names escaped, no scripts."""

import html.parser

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
