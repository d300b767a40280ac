"""The list of mutations fits the source: what a mutation replaces is there, once."""

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def mutations():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("mutations", ROOT / "benchmarks" / "mutations.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_mutation_has_its_place(mutations):
    """No text is gone or there twice, no name twice, and every test file exists."""
    assert not mutations.misplaced()
    names = [each.name for each in mutations.MUTATIONS]
    assert len(set(names)) == len(names) >= 40
    for each in mutations.MUTATIONS:
        assert each.instead != each.text and each.tests
        assert all((ROOT / words.split()[0]).exists() for words in each.tests), each.name
