"""The pages of docs/ name tests that exist."""

import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parent
NAMED = [
    match
    for page in sorted((TESTS.parent / "docs").glob("*.md"))
    for match in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_named_test_exists(file, name):
    assert re.search(rf"^def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_pages_name_tests():
    assert len(NAMED) > 60
