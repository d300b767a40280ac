"""Docstrings of the package, plain text with equations in it, as reStructuredText.

Lines `name: text` about arguments and fields become a list of them, equations are set apart, names of the package in
backticks become links, and whatever else has a meaning in reStructuredText is taken literally. Long names may break
where their parts meet, so that a page fits a narrow screen.
"""

import dataclasses
import functools
import importlib
import inspect
import re
import textwrap

import qdbjax

ENTRY = re.compile(r"(\w+(?:(?:, | or )\w+)*): (.*)")
WORD = re.compile(r"\b[A-Za-z][a-z]{3,}\b")
EQUALS = re.compile(r"[=≥≤∝→<>]")
STARTS = re.compile(r"Returns |Raises |\*Source:\*|[A-Z][a-z]+( [a-z]+)?: ")
MARKS = re.compile(r"([\\*|_`])")
ENUMERATOR = re.compile(r"\(?(\w|[ivxlcdm]+|\d+)[.)](\s|$)", re.IGNORECASE)
HEADING = re.compile(r"(?<=<h1>)[^<]+")
OPENING = '<span class="sig-paren">(</span>'
PLACE = re.compile(r'(?<=<span class="sig-prename descclassname">)<span class="pre">[^<]+</span>')
NAME = re.compile(r'(?<=<span class="sig-name descname"><span class="pre">)[^<]+')


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
    target = target_of(re.sub(r"\(\)$", "", code), links)
    # Both sides of an inline mark must be free of letters: an escaped space is nothing.
    return f"\\ :py:obj:`{code} <{target}>`\\ " if target else f"\\ ``{code}``\\ "


def target_of(name: str, links: dict[str, str]) -> str | None:
    """What a name means: one that is public, alone or with the room it is in; a part of a class means the class."""
    owner, _, last = name.rpartition(".")
    target = links.get(last)
    if target and f".{target}".endswith(f".{name}"):
        return target
    return target_of(owner, links) if owner[:1].isupper() else None


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


def owner_of(what: str, name: str) -> object:
    """The class of a method or property, None for what is in no class."""
    if what not in ("method", "property", "attribute"):
        return None
    room, _, owner = name.rpartition(".")[0].rpartition(".")
    return getattr(importlib.import_module(room), owner, None)


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


def equation(lines: list[str]) -> list[str]:
    """Equations that stand side by side, one a line."""
    return re.sub(r"([,;])\s{2,}", r"\1\n", textwrap.dedent("\n".join(lines))).splitlines()


def converted(lines: list[str], thing: object, owner: object = None) -> list[str]:
    """A docstring, line by line, as reStructuredText; the owner is the class of a method."""
    given, read = arguments_of(thing)
    own = given | read | (set.union(*arguments_of(owner)) if owner else set())
    links = {name: target for name, target in public_names().items() if name not in own}
    links.pop(getattr(thing, "__name__", ""), None)
    written, before = [], None
    for number, paragraph in enumerate(paragraphs_of(lines)):
        for kind, each in blocks(paragraph, given, read) if number else [("text", paragraph)]:
            if not (kind == before == "entry"):
                written.append("")
            if kind == "equation":
                written += [
                    ".. code-block:: text",
                    "   :class: equation",
                    "",
                    *("   " + line for line in equation(each)),
                ]
            elif kind == "example":
                written += each
            else:
                name = each.pop(0) if kind == "entry" else ""
                text = literal(" ".join(each), links)
                written.append(name + ("\\ " if ENUMERATOR.match(text) else "") + text)
            before = kind
    return [*written[1:], ""]


def to_restructuredtext(app, what, name, obj, options, lines):
    """Handler of autodoc-process-docstring."""
    lines[:] = converted(lines, obj, owner_of(what, name))


def skip(app, what, name, obj, skipped, options):
    """Handler of autodoc-skip-member: fields of a named tuple are described with the class."""
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field number") else None


def settle_fields(app, doctree):
    """Handler of doctree-read: blanks between names described together, and the usual word for attributes."""
    from docutils import nodes
    from sphinx import addnodes

    for node in list(doctree.findall(addnodes.literal_strong)):
        if "," in node.astext():
            node.replace_self(addnodes.literal_strong("", ", ".join(node.astext().split(","))))
    for node in doctree.findall(nodes.field_name):
        if node.astext() == "Variables":
            node[:] = [nodes.Text("Attributes")]


def breakable(text: str, mark: str = "<wbr>") -> str:
    """A name that may break between its parts: after `_`, and before a capital."""
    return re.sub(r"(?<=_)(?=\w)|(?<=[a-z])(?=[A-Z])", mark, text)


def break_names(app, pagename, templatename, context, doctree):
    """Handler of html-page-context: headings, signatures and what leads to the neighbours on pages of the reference."""
    if not pagename.startswith("reference/generated/"):
        return
    body = HEADING.sub(lambda found: breakable(found[0]), context["body"], count=1)
    body = NAME.sub(lambda found: breakable(found[0]), body)
    context["body"] = PLACE.sub(r"\g<0><wbr>", body).replace(OPENING, OPENING + "<wbr>")
    for side in ("prev", "next"):
        if context.get(side):
            # The theme strips marks from titles, but not the blank without width.
            context[side] = context[side] | {"title": breakable(context[side]["title"], "\u200b")}
