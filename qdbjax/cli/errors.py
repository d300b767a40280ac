"""Errors of the command line: one line that says where, what, and what is allowed."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

LONGEST = 1000  # characters of an error
# Errors of a type among several that a key may have, by its name.
TRIED = {
    "str": ("string_type",),
    "int": ("int_type", "int_from_float"),
    "float": ("float_type",),
    "list": ("list_type",),
}


class InputError(Exception):
    """Something in the input or output of a run that its author can put right: one line, that fits on a screen."""

    def __init__(self, said: str):
        plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in said)
        super().__init__(plain if len(plain) <= LONGEST else f"{plain[: LONGEST // 2]} … {plain[-LONGEST // 2 :]}")


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean …?` or nothing."""
    found = difflib.get_close_matches(word, list(allowed), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def in_words(error: ValidationError) -> str:
    """The first error of a validation, with the path of its key."""
    errors = error.errors(include_url=False)
    # An unknown key comes first: a misspelt key also makes the right one missing.
    first = min(errors, key=lambda e: e["type"] != "unknown_key")
    path = _path(first["loc"], first["type"])
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "unknown_key":
        key, known = context["key"], context["known"]
        hint = nearest(key, known) or "; known keys are " + ", ".join(known)
        return f"{path}{'.' if path else ''}{key}: unknown key{hint}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind == "unknown_kind":
        key, allowed = context["key"], context["allowed"]
        if not isinstance(value, dict):
            return f"{path}: must be a table with the key {key}, one of {allowed}; got {_short(value)}"
        if key not in value:
            return f"{path}.{key}: is missing"
        named = str(value[key])
        return f"{path}.{key}: {named!r} is unknown; allowed are {allowed}{nearest(named, allowed.split(', '))}"
    if kind == "literal_error":
        return f"{path}: must be {context['expected']}; got {_short(value)}"
    if kind == "value_error":
        return f"{path}: {context['error']}" if path else str(context["error"])
    return f"{path}: {_lower(first['msg'])}; got {_short(value)}"


def _path(location: tuple, kind: str) -> str:
    """Dotted path as written in the file: without the <tags> that tell kinds apart, and the type that was tried."""
    if len(location) > 1 and kind in TRIED.get(str(location[-1]).split("[")[0], ()):
        location = location[:-1]
    return ".".join(str(part) for part in location if not str(part).startswith("<"))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
