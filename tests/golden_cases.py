"""Golden data, from `golden/`."""

import json
import pathlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"


def golden(family: str) -> dict:
    """A golden family by name."""
    return json.loads((GOLDEN / f"{family}.json").read_text())


def cases(family: str) -> list[dict]:
    """Its cases."""
    return golden(family)["cases"]


def array(value) -> np.ndarray:
    """An array from its JSON form."""
    if isinstance(value, dict):
        return np.array(value["re"]) + 1j * np.array(value["im"])
    return np.array(value)
