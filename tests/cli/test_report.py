"""qdbjax report: one page that holds everything that it shows."""

import base64
import html.parser
import shutil
import subprocess

import matplotlib

matplotlib.use("agg")

import numpy as np
import pytest

import qdbjax as qdb
from qdbjax.cli.main import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<b>T & \"J\"</b><script>alert('x')</script>"
VOID = {"meta", "img"}


class Page(html.parser.HTMLParser):
    """Tags, which must close in order; rows of tables; pictures; where attributes point to."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.rows, self.pictures, self.headings, self.points_to = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        for name, value in attrs:
            if name in ("src", "href"):
                (self.pictures if value.startswith("data:image/png;base64,") else self.points_to).append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A sweep of plain numbers: nothing is solved."""
    out = tmp_path_factory.mktemp("report") / "run.zarr"
    data = qdb.sweep(
        lambda x, y: {"heat": x * x - y, "none": 0.0 * y}, x=np.linspace(-1.0, 2.0, 4), y=[0.5, 1.0], out=out
    )
    assert data["heat"].shape == (4, 2)
    return out


def test_the_page_says_what_how_good_and_how(store, capsys):
    assert main(["report", str(store)]) == 0
    target = store.with_name("run.html")
    assert f"written {target}" in capsys.readouterr().out.replace("\n", "")
    page = Page(target.read_text(encoding="utf-8"))
    assert page.headings[1:] == ["What was computed", "How good it is", "Figures", "How it was made"]
    assert not page.points_to and "script" not in page.tags and "link" not in page.tags  # nothing from outside
    rows = {row[0]: row for row in page.rows if row}
    assert rows["x"][-3:] == ["-1", "2", "4"] and rows["y"][-3:] == ["0.5", "1", "2"]
    assert rows["heat"][1:3] == ["-1", "3.5"]  # x² - y: 0 - 1 at x = 0, 4 - 0.5 at x = 2
    assert rows["jax_version"][1].count(".") >= 2 and "function_source" not in rows
    assert "No flag at any of 8 points." in target.read_text(encoding="utf-8")
    for picture in page.pictures:
        content = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
        assert content.startswith(b"\x89PNG") and len(content) > 5000
    assert len(page.pictures) == 2


def test_names_are_text(store, tmp_path, monkeypatch):
    """A title, a label and an attribute that look like HTML are shown as they are."""
    from qdbjax.cli import report

    data, _ = report.opened(store)
    data = data.load().assign_attrs(title=EVIL, note=EVIL)
    data["heat"].attrs["long_name"] = "heat <i>current</i>"
    data["status"].values[0, 0], data["status"].values[1, 1] = 16, 2
    page = Page("\n".join(report._page(data, store)))
    assert EVIL in page.headings[0] and "script" not in page.tags and "b" not in page.tags and "i" not in page.tags
    assert ["note", EVIL] in page.rows
    assert next(row for row in page.rows if row[0] == "near degenerate")[:2] == ["near degenerate", "1 of 8"]


def test_what_is_not_there_is_not_invented(store, tmp_path, capsys):
    other = tmp_path / "page.html"
    other.write_text("mine")
    for command, words in (
        (["report", str(tmp_path / "no.zarr")], "no such store"),
        (["report", str(store), "-o", str(other)], "holds what qdbjax did not write"),
        (["report", str(store), "-o", str(tmp_path / "page.pdf")], "ends in .html"),
    ):
        assert main(command) == 2
        assert words in capsys.readouterr().err
    assert other.read_text() == "mine"
    assert main(["report", str(store), "-o", str(tmp_path / "new.html")]) == 0
    assert main(["report", str(store), "-o", str(tmp_path / "new.html")]) == 0  # its own page is written anew


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_it(store, tmp_path, width):
    """Pictures have a size, and nothing is wider than the window."""
    target = tmp_path / "page.html"
    assert main(["report", str(store), "-o", str(target)]) == 0
    measure = """<script>addEventListener("load", () => { document.title = "MEASURED " + [...document.images]
        .map((each) => each.naturalWidth + "/" + each.clientWidth).join(" ")
        + " " + document.body.scrollWidth + " " + innerWidth })</script>"""
    page = target.read_text(encoding="utf-8").replace("</body>", measure + "</body>")
    (tmp_path / "measured.html").write_text(page, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},800", "--virtual-time-budget=2000", "--dump-dom"]
    shown = subprocess.run(
        [*command, (tmp_path / "measured.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    *pictures, overall, window = shown.partition("<title>MEASURED ")[2].partition("</title>")[0].split()
    assert len(pictures) == 2 and int(overall) <= int(window)
    for natural, drawn in (map(int, each.split("/")) for each in pictures):
        assert natural > 500 and 200 < drawn <= int(window)
