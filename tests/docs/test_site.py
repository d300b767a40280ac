"""The pages of docs/: each is in a table of contents, links lead somewhere, every public name is in the reference."""

import ast
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
BUILT = {"_build", "gallery", "generated", "_templates", "jupyter_execute"}
PAGES = sorted(
    path for path in [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")] if not BUILT & set(path.relative_to(DOCS).parts)
)
name_of = lambda path: path.relative_to(DOCS).with_suffix("").as_posix()  # noqa: E731
each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@functools.cache
def extension(name):
    """A module of docs/extensions."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resolved(page, target):
    """The page that a reference means, as it is named from docs/."""
    inside = target.lstrip("/") if target.startswith("/") else (page.parent / target)
    return (DOCS / inside).resolve().relative_to(DOCS).as_posix()


def exists(name):
    """Whether a page is there, or will be made from an example."""
    if name == "gallery/index":
        return (EXAMPLES / "GALLERY_HEADER.txt").exists()
    if name.startswith("gallery/"):
        return (EXAMPLES / f"{name.removeprefix('gallery/')}.py").exists()
    return (DOCS / f"{name}.md").exists() or (DOCS / f"{name}.rst").exists()


def contents(page):
    """What the tables of contents of a page list."""
    for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        lines = [line.strip() for line in block.splitlines()]
        yield from (resolved(page, line) for line in lines if line and not line.startswith(":"))


def anchors(page):
    """What `#…` may name on a page: headings as GitHub and MyST spell them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_a_table_of_contents():
    listed = [name for page in PAGES for name in contents(page)]
    assert len(listed) == len(set(listed))
    assert {name_of(page) for page in PAGES} - set(listed) == {"index"}
    assert not [name for name in listed if not exists(name)]


@each_page
def test_links_lead_somewhere(page):
    """Pages, anchors, figures, files that are included, and names of the reference."""
    text = re.sub(r"```\{code-cell\}.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "//" in target:
            continue
        if file.endswith((".png", ".svg")):
            assert (page.parent / file).resolve().is_file(), target
            continue
        assert not file or exists(resolved(page, file.removesuffix(".md"))), target
        assert not anchor or anchor in anchors(page if not file else page.parent / file), target
    for target in re.findall(r"```\{(?:include|literalinclude)\} (\S+)", text):
        assert (page.parent / target).resolve().is_file(), target
    for target in re.findall(r":(?:doc|link): ?`?/?([\w/]+)", text):
        assert exists(target), target
    known = reference()
    for target in re.findall(r"\{py:obj\}`~?([\w.]+)`", text):
        assert target in known, target


def reference():
    """Every name that the reference lists."""
    pages = (DOCS / "reference").glob("*.rst")
    return [name for page in pages for name in re.findall(r"^   (qdbjax\.[\w.]+)$", page.read_text(), re.MULTILINE)]


def test_every_public_name_is_in_the_reference():
    listed, wanted = reference(), set(extension("docstrings").public_names().values())
    assert len(listed) == len(set(listed)), "listed twice"
    missing = sorted(wanted - set(listed))
    assert not missing, f"add to the page of docs/reference/ where it belongs: {missing}"
    for name in listed:
        room, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(room), last), name


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem)
def test_examples_begin_as_pages(path):
    """A title, and nothing between bars, which reStructuredText would take for a name to be filled in."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    title, line = text.splitlines()[:2]
    assert line == "=" * len(title)
    assert not re.search(r"\|\S", re.sub(r"`[^`]*`", "", text))


def test_every_run_file_is_run():
    """Python examples are pages of the gallery; those in TOML are run on a page of their own."""
    text = (DOCS / "run_files.md").read_text(encoding="utf-8")
    for file in EXAMPLES.glob("*.toml"):
        assert f"```{{literalinclude}} ../examples/{file.name}" in text
        assert f"qdbjax run ../examples/{file.name}" in text


def test_docstrings_become_restructuredtext():
    """Arguments, equations, examples, links; what has a meaning elsewhere is taken literally."""

    def function(rate, width):
        """What |n⟩ is.

        W_mn = 2π|⟨m|S|n⟩|² J(ω)

        rate: of `steady_state`, or `None`.
        width: a*b,
            as wide as c_.
        Said in between.
        Returns x_1.
        *Source:* A. Nobody (1900).

        >>> 1 + 1
        2
        """

    lines = extension("docstrings").converted(inspect.getdoc(function).splitlines(), function)
    assert lines[0] == r"What \|n⟩ is."
    place = lines.index("   W_mn = 2π|⟨m|S|n⟩|² J(ω)")
    assert lines[place - 3 : place] == [".. code-block:: text", "   :class: equation", ""]
    assert r":param rate: of \ :py:obj:`steady_state <qdbjax.steady_state>`\ , or \ ``None``\ ." in lines
    assert r":param width: a\*b, as wide as c\_." in lines
    assert [x for x in lines if x.startswith(("Returns", "*S"))] == [r"Returns x\_1.", "*Source:* A. Nobody (1900)."]
    assert lines[-4:] == ["", ">>> 1 + 1", "2", ""]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sweeps.Refine", "qdbjax.sweeps.Refine"),
        ("qdbjax.explain", "qdbjax.explain"),
        ("Auto()", "qdbjax.solvers.Auto"),
        ("Bath.noise_matrix", "qdbjax.Bath"),  # not the noise of currents
        ("numerics.hermitian", None),  # not the free matrix of a fit
        ("correlation", None),  # of the bath, not of two operators
        ("spectrum.basis", None),
    ],
)
def test_names_mean_what_the_sentence_says(text, target):
    import qdbjax

    pages = extension("docstrings")
    assert (
        pages.owner_of("method", "qdbjax.Bath.noises") is qdbjax.Bath and pages.owner_of("class", "qdbjax.Bath") is None
    )
    lines = pages.converted(["γ before `" + text + "`."], qdbjax.Bath.noises, qdbjax.Bath)
    assert lines == [rf"γ before \ :py:obj:`{text} <{target}>`\ ." if target else rf"γ before \ ``{text}``\ .", ""]


def test_equations_stand_one_a_line_and_letters_begin_no_list():
    """What is written side by side or indented in a docstring; `E.` alone would be the fifth item of a list."""

    def function(energy):
        """Words.

            a = b,   c = d;  e = f(g, h)

        energy: E.
        """

    lines = extension("docstrings").converted(inspect.getdoc(function).splitlines(), function)
    assert lines[5:8] == ["   a = b,", "   c = d;", "   e = f(g, h)"]
    assert lines[-2] == r":param energy: \ E."


def test_long_names_can_break_and_fields_of_tuples_are_told_once():
    from qdbjax.models import Machine

    pages = extension("docstrings")
    assert pages.breakable("free_energy") == "free_<wbr>energy" and pages.breakable("KMSCheck") == "KMSCheck"
    assert pages.breakable("SteadyState") == "Steady<wbr>State"
    body = (
        '<h1>free_energy<a href="#free_energy">#</a></h1><span class="sig-prename descclassname"><span class="pre">'
        'qdbjax.</span></span><span class="sig-name descname"><span class="pre">free_energy</span></span>'
        '<span class="sig-paren">(</span>'
    )
    context = {"body": body, "next": {"title": "SteadyState", "link": "a_b"}, "prev": None}
    pages.break_names(None, "reference/generated/x", "", context, None)
    assert context["next"] == {"title": "Steady\u200bState", "link": "a_b"} and context["prev"] is None
    assert context["body"].count("free_<wbr>energy") == 2 and '"#free_energy"' in context["body"]
    assert context["body"].endswith("(</span><wbr>") and "qdbjax.</span><wbr></span>" in context["body"]
    pages.break_names(None, "start", "", untouched := {"body": body}, None)
    assert untouched == {"body": body}
    assert pages.skip(None, "property", "baths", Machine.baths, False, None)
    assert pages.skip(None, "class", "Machine", Machine, False, None) is None


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("<img src='a.png'>", []),
        ("", ["1 cells draw, 0 figures are shown"]),
        ("<img><pre>Traceback (most recent call last):</pre>", ["a traceback"]),
        ("<img><p>| a | b | |—|—| | 1 | 2 |</p>", ["a table that is not one"]),
    ],
)
def test_what_a_built_page_must_show(output, said):
    source = "# Title\n\n```{code-cell}\nqdb.plot_map(data)\n```\n"
    assert extension("built_pages").faults(source, output) == said
