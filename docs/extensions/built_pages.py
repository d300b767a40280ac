"""What a build must have made of the pages, which no warning tells: figures, tables, no traceback."""

import pathlib
import re

DRAWS = re.compile(r"plot_\w+\(|plt\.subplots|Image\(")
UNRENDERED = re.compile(r"\|[-—]+\|")


def faults(source: str, page: str) -> list[str]:
    """What is missing on a page, given its source and the page as HTML."""
    cells = re.findall(r"```\{code-cell\}.*?```", source, re.DOTALL)
    wanted, drawn = sum(bool(DRAWS.search(cell)) for cell in cells), page.count("<img")
    found = [] if drawn >= wanted else [f"{wanted} cells draw, {drawn} figures are shown"]
    found += ["a traceback"] if "Traceback (most recent call last)" in page else []
    return found + (["a table that is not one"] if cells and UNRENDERED.search(page) else [])


def check(app, exception):
    """Handler of build-finished."""
    from sphinx.errors import ExtensionError

    if exception or app.builder.format != "html" or app.config.nb_execution_mode == "off":
        return
    for source in sorted(pathlib.Path(app.srcdir).glob("*.md")):
        page = pathlib.Path(app.outdir, source.stem + ".html").read_text(encoding="utf-8")
        found = faults(source.read_text(encoding="utf-8"), page)
        if found:
            raise ExtensionError(f"{source.name}: {'; '.join(found)}")
