"""Docstrings of the package, plain text with equations in it, as reStructuredText.

Lines `name: text` about arguments and fields become a list of them, equations are set apart, names of the package in
backticks become links, and whatever else has a meaning in reStructuredText is taken literally.
"""

import dataclasses
import functools
import importlib
import inspect
import re

import qdbjax

ENTRY = re.compile(r"(\w+(?:(?:, | or )\w+)*): (.*)")
WORD = re.compile(r"\b[A-Za-z][a-z]{3,}\b")
EQUALS = re.compile(r"[=≥≤∝→<>]")
STARTS = re.compile(r"Returns |Raises |\*Source:\*|[A-Z][a-z]+( [a-z]+)?: ")
MARKS = re.compile(r"([\\*|_`])")


@functools.cache
def public_names() -> dict[str, str]:
    """Every public name with where it is documented: at the front door, otherwise in its room."""
    found = {}
    rooms = [name for name in qdbjax.__all__ if inspect.ismodule(getattr(qdbjax, name))]
    for path in [*(f"qdbjax.{room}" for room in rooms), "qdbjax"]:
        room = importlib.import_module(path)
        names = getattr(room, "__all__", None) or [name for name in vars(room) if not name.startswith("_")]
        found |= {name: f"{path}.{name}" for name in names if not inspect.ismodule(getattr(room, name))}
    return found


def literal(text: str, links: dict[str, str]) -> str:
    """Text that means itself, but for `code`, links and *Source:*."""
    pieces = re.split(r"(`[^`]+`|\*Source:\*)", text)
    return "".join(_marked(piece, links) if n % 2 else MARKS.sub(r"\\\1", piece) for n, piece in enumerate(pieces))


def _marked(piece: str, links: dict[str, str]) -> str:
    if piece.startswith("*"):
        return piece
    code = piece[1:-1]
    target = links.get(re.sub(r"\(\)$", "", code).split(".")[-1])
    # Both sides of an inline mark must be free of letters: an escaped space is nothing.
    return f"\\ :py:obj:`{code} <{target}>`\\ " if target else f"\\ ``{code}``\\ "


def is_equation(lines: list[str]) -> bool:
    """Lines that say something in symbols: a relation, few words, no full stop at the end."""
    text = " ".join(lines)
    return bool(EQUALS.search(text)) and not text.rstrip().endswith((".", ":", ";")) and len(WORD.findall(text)) <= 6


def arguments_of(thing: object) -> tuple[set[str], set[str]]:
    """Names of what is given and of what can be read."""
    given, read = set(), set()
    if callable(thing):
        try:
            given = set(inspect.signature(thing).parameters)
        except (TypeError, ValueError):
            given = set()
    if inspect.isclass(thing):
        read = set(dir(thing)) | set(getattr(thing, "_fields", ()))
        read |= {field.name for field in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
        for parent in thing.__mro__:
            read |= set(getattr(parent, "__annotations__", {}))
    return given, read - given


def _entry(line: str, given: set[str], read: set[str]) -> tuple[str, str] | None:
    match = ENTRY.fullmatch(line)
    if match is None:
        return None
    names = re.split(r", | or ", match[1])
    for field, known in (("param", given), ("ivar", given | read)):
        if all(name in known for name in names):
            return f":{field} {','.join(names)}: ", match[2]
    return None


def blocks(lines: list[str], given: set[str], read: set[str]) -> list[tuple[str, list[str]]]:
    """One paragraph as (kind, lines): text, equation, example, entry; the first line of an entry is its name."""
    if lines[0].startswith(">>>"):
        return [("example", lines)]
    if lines[0].startswith(" "):
        return [("equation", lines)]
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        entry = _entry(line, given, read)
        if entry:
            found.append(("entry", list(entry)))
        elif found and found[-1][0] == "entry" and line.startswith(" "):
            found[-1][1].append(line.strip())
        elif found and found[-1][0] == "text" and not STARTS.match(line):
            found[-1][1].append(line)
        else:
            found.append(("text", [line]))
    return [("equation", each) if kind == "text" and is_equation(each) else (kind, each) for kind, each in found]


def paragraphs_of(lines: list[str]) -> list[list[str]]:
    """Runs of lines that are not blank."""
    found, current = [], []
    for line in [*lines, ""]:
        if line.strip():
            current.append(line)
        elif current:
            found.append(current)
            current = []
    return found


def converted(lines: list[str], thing: object) -> list[str]:
    """A docstring, line by line, as reStructuredText."""
    given, read = arguments_of(thing)
    links = {name: target for name, target in public_names().items() if name not in given | read}
    links.pop(getattr(thing, "__name__", ""), None)
    written, before = [], None
    for number, paragraph in enumerate(paragraphs_of(lines)):
        for kind, each in blocks(paragraph, given, read) if number else [("text", paragraph)]:
            if not (kind == before == "entry"):
                written.append("")
            if kind == "equation":
                written += [".. code-block:: text", "   :class: equation", "", *("   " + line for line in each)]
            elif kind == "example":
                written += each
            else:
                name = each.pop(0) if kind == "entry" else ""
                written.append(name + literal(" ".join(each), links))
            before = kind
    return [*written[1:], ""]


def to_restructuredtext(app, what, name, obj, options, lines):
    """Handler of autodoc-process-docstring."""
    lines[:] = converted(lines, obj)
