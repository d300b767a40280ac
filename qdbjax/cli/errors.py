"""Errors of the command line: one line that says where, what, and what is allowed."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError


class InputError(Exception):
    """Something in the input or output of a run that its author can put right."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean …?` or nothing."""
    found = difflib.get_close_matches(word, list(allowed), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def in_words(error: ValidationError, keys_at: Mapping[str, list[str]]) -> str:
    """The first error of a validation, with the path of its key. keys_at: known keys by section or kind."""
    errors = error.errors(include_url=False)
    # An unknown key comes first: a misspelt key also makes the right one missing.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    path = _path(first["loc"], keys_at)
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "extra_forbidden":
        parent = [str(part) for part in first["loc"][:-1] if str(part) in keys_at]
        allowed = keys_at[parent[-1] if parent else ""]
        name = str(first["loc"][-1])
        return f"{path}: unknown key{nearest(name, allowed) or '; known keys are ' + ', '.join(allowed)}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind == "union_tag_not_found":
        wanted = str(context["discriminator"]).strip("'")
        return f"{path}.{wanted}: is missing"
    if kind == "union_tag_invalid":
        wanted = str(context["discriminator"]).strip("'")
        allowed = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        tag = str(context["tag"])
        return f"{path}.{wanted}: {tag!r} is unknown; allowed are {', '.join(allowed)}{nearest(tag, allowed)}"
    if kind == "literal_error":
        return f"{path}: must be {context['expected']}; got {value!r}"
    if kind == "value_error":
        return f"{path}: {context['error']}" if path else str(context["error"])
    return f"{path}: {_lower(first['msg'])}; got {_short(value)}"


def _path(location: tuple, keys_at: Mapping[str, list[str]]) -> str:
    """Dotted path as written in the file: without the tags that tell kinds apart."""
    written = {*keys_at[""], "terms", "coupling", "initial", "times", "parameters", "over", "aims"}
    return ".".join(str(part) for part in location if part in written or str(part) not in keys_at)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
