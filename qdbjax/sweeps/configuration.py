"""What a store belongs to, in words: only a sweep that says the same of itself goes on with it."""

import datetime
import hashlib
import inspect
import json
import math
import platform
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np

from qdbjax._checks import setting
from qdbjax.compilation.description import describe, describe_function, where_they_differ
from qdbjax.compilation.tiers import is_optimized

CONFIGURATION, HASH = "configuration", "configuration_sha256"  # attributes of a store


def configuration_of(
    fn: Callable, axes: Mapping[str, np.ndarray], points: int, origin: Mapping[str, str] | None
) -> dict[str, str]:
    """What must agree between two runs of one sweep, by name.

    origin: what fn is, if its source does not say it all.
    """
    device = jax.devices()[0]
    found = {
        "qdbjax version": sys.modules["qdbjax"].__version__,
        "JAX version": jax.__version__,
        "precision": "float64" if setting("jax_enable_x64") else "float32",
        "platform": device.platform,
        "compilation": "optimised" if is_optimized(points) else "quick",
        "order of axes": ", ".join(axes),
    }
    found |= {f"axis {name}": describe(values) for name, values in axes.items()}
    return found | dict(describe_function(fn) if origin is None else origin)


def source_of(fn: Callable | None) -> str:
    """The text of a function as it is written, or nothing."""
    inner: Any = fn
    while hasattr(inner, "func") or hasattr(inner, "__wrapped__"):
        inner = inner.func if hasattr(inner, "func") else inner.__wrapped__
    try:
        return inspect.getsource(inner)
    except (OSError, TypeError):
        return ""


def provenance(
    name: str, fn: Callable | None, axes: Mapping[str, np.ndarray], configuration: Mapping[str, str]
) -> dict:
    """Attributes that say what was computed, by what, on what and when."""
    device = jax.devices()[0]
    return {
        "function": name,
        "function_source": source_of(fn),
        "qdbjax_version": sys.modules["qdbjax"].__version__,
        "jax_version": jax.__version__,
        "jaxlib_version": metadata.version("jaxlib"),
        "python_version": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "dtype": str(np.result_type(float if setting("jax_enable_x64") else np.float32, *axes.values())),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "points": math.prod(len(values) for values in axes.values()),
        **as_attributes(configuration),
    }


def as_attributes(configuration: Mapping[str, str]) -> dict[str, str]:
    """The configuration as it is stored, with its hash."""
    text = json.dumps(configuration, indent=1, ensure_ascii=False)
    return {CONFIGURATION: text, HASH: hashlib.sha256(text.encode()).hexdigest()}


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """The first thing in which two configurations differ, in words."""
    for name in dict.fromkeys([*here, *there]):
        own, other = here.get(name, "absent"), there.get(name, "absent")
        if own != other:
            shown = _lines_that_differ(own, other) if "\n" in own + other else where_they_differ(own, other)
            return f"{name} is {shown[0]} here and {shown[1]} there"
    return None


def _lines_that_differ(here: str, there: str) -> tuple[str, str]:
    own, other = here.splitlines(), there.splitlines()
    number = next((n for n, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), min(len(own), len(other)))
    shown = [repr(lines[number].strip()) if number < len(lines) else "at its end" for lines in (own, other)]
    return shown[0], shown[1]
