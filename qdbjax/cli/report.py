"""`qdbjax report`: one HTML page that says what a store holds, how good it is, and how it was made."""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot
import numpy as np
import xarray

from qdbjax._status import NOT_COMPUTED, REMEDIES, Status
from qdbjax.cli.errors import InputError
from qdbjax.cli.execution import loaded
from qdbjax.cli.figure import drawn
from qdbjax.cli.output_files import PAGES, SOFTWARE, claim, finished_under
from qdbjax.cli.store_info import opened
from qdbjax.cli.sweep_run import Figure

PAGE_DPI = 200
PAGE_STYLE = """
body { font-family: system-ui, sans-serif; line-height: 1.45; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2833; background: white }
table { border-collapse: collapse; margin: 0.5rem 0 } td, th { border: 1px solid #d5d8dc; padding: 0.2rem 0.6rem;
  text-align: left; vertical-align: top }
@media (min-width: 45rem) { table { display: block; overflow-x: auto } }
@media (max-width: 45rem) { td, th { overflow-wrap: anywhere } }
figure { margin: 1.2rem 0 } img { max-width: 100%; width: 34rem }
pre { background: #f4f6f7; padding: 0.8rem; overflow-x: auto }
"""
LONG = ("run_file", "function_source", "configuration")  # attributes that are texts of many lines


def write_report(store: Path, target: Path | None) -> Path:
    """Write the page and return its path: beside the store unless a target is given.

    It holds its figures and style, no script, and refers to nothing outside of itself. Raises InputError for what is no
    store, and for a target that is there and was written by something else.
    """
    data, _ = opened(store)
    target = target or store.with_name(f"{store.name.removesuffix('.zarr')}.html")
    if target.suffix not in PAGES:
        raise InputError(f"{target}: reports are HTML files; give a name that ends in .html")
    claim(target.parent, [target], overwrite=True)
    page = "\n".join(_page(loaded(data, store), store))
    with finished_under(target) as partial:
        partial.write_text(page, encoding="utf-8")
    return target


def _page(data: xarray.Dataset, store: Path) -> Iterator[str]:
    title = html.escape(data.attrs.get("title") or data.attrs.get("function") or store.name)
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta name="generator" content="{SOFTWARE} {html.escape(str(data.attrs.get("qdbjax_version", "")))}">'
    yield f"<title>{title}</title><style>{PAGE_STYLE}</style></head><body><h1>{title}</h1>"
    yield "<h2>What was computed</h2>"
    yield _table(("axis", "what", "from", "to", "points"), [_axis(data[name]) for name in data["status"].dims])
    names = [str(name) for name in data.data_vars if name != "status"]
    yield _table(("variable", "what", "smallest", "largest", "unit"), [_range(data[name]) for name in names])
    yield "<h2>How good it is</h2>"
    yield from _flags(data["status"].values)
    yield "<h2>Figures</h2>"
    for name in names:
        yield from _figure(data, name)
    yield "<h2>How it was made</h2>"
    short = [(str(name), str(x)) for name, x in data.attrs.items() if name not in LONG and name != "title"]
    yield _table(("attribute", "value"), short)
    for name in LONG:
        if data.attrs.get(name):
            yield f"<h3>{html.escape(name.replace('_', ' '))}</h3><pre>{html.escape(str(data.attrs[name]))}</pre>"
    yield "</body></html>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    line = lambda kind, cells: "".join(f"<{kind}>{html.escape(str(cell))}</{kind}>" for cell in cells)  # noqa: E731
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', header)}</tr></thead><tbody>{body}</tbody></table>" if rows else ""


def _axis(values: xarray.DataArray) -> tuple[str, ...]:
    ends = [f"{values.values[place]:.6g}" for place in (0, -1)] if values.size else ["", ""]
    return str(values.name), values.attrs.get("long_name", ""), *ends, str(values.size)


def _range(values: xarray.DataArray) -> tuple[str, ...]:
    finite = values.values[np.isfinite(values.values)]
    ends = (f"{finite.min():.6g}", f"{finite.max():.6g}") if finite.size and not np.iscomplexobj(finite) else ("", "")
    return str(values.name), values.attrs.get("long_name", ""), *ends, values.attrs.get("units", "")


def _flags(codes: np.ndarray) -> Iterator[str]:
    done = codes[codes != NOT_COMPUTED]
    rows = [
        (flag.label.replace("_", " "), f"{np.count_nonzero(done & int(flag))} of {codes.size}", REMEDIES[flag])
        for flag in Status
        if flag.value and np.any(done & int(flag))
    ]
    if done.size < codes.size:
        rows.append(("not computed", f"{codes.size - done.size} of {codes.size}", "go on with --resume"))
    yield _table(("flag", "points", "what it says"), rows) or f"<p>No flag at any of {codes.size} points.</p>"


def _figure(data: xarray.Dataset, variable: str) -> Iterator[str]:
    """The variable over its first and last axis, as a picture inside of the page; nothing where there is no axis."""
    values, name = data[variable], html.escape(str(data[variable].attrs.get("long_name", variable)))
    if np.iscomplexobj(values.values) or not any(values.sizes[each] > 1 for each in values.dims):
        return
    picture = io.BytesIO()
    try:
        with matplotlib.rc_context({"backend": "agg"}):
            figure = drawn(data, Figure(variable, {}, ""), {}, None)
            figure.savefig(picture, format="png", dpi=PAGE_DPI, metadata={"Software": SOFTWARE})
            matplotlib.pyplot.close(figure)
    except (ValueError, IndexError) as error:
        yield f"<p>{name} cannot be drawn: {html.escape(str(error))}</p>"
        return
    uri = base64.b64encode(picture.getvalue()).decode("ascii")
    yield f'<figure><img alt="{name}" src="data:image/png;base64,{uri}"><figcaption>{name}</figcaption></figure>'
