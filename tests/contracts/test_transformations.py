"""Orders of transformations that users nest: `transformations` has the list, docs/transformations.md the record."""

import json

import pytest
from contracts.transformations import COMMON, ORDERS, PAGE, READERS, RECORD, by_differences, miss, page, refusal, tried

# A scan over a vmap inside of a gradient once met a derivative of a constant; it stays in the quick tier.
QUICK = [("davies", "jit(grad(scan(vmap)))"), ("gibbs", "jit(vmap(scan))")]
# One order for each reading; of evolve along a protocol, whose programs are the largest, in the record alone.
READINGS = [name for name in READERS if not name.startswith("evolve, ")]
SLOW = [(name, COMMON[n % len(COMMON)]) for n, name in enumerate(READINGS)]
SLOW += [("davies", key) for key in ORDERS if key not in COMMON and ORDERS[key].degree < 2]


@pytest.mark.parametrize(("name", "key"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)])
def test_order(name, key):
    """Values, gradients and Hessians are those of a plain loop and of its differences."""
    order = ORDERS[key]
    if words := refusal(name, key):
        with pytest.raises((NotImplementedError, TypeError), match=words):
            miss(name, order, [None] * 3)
    else:
        assert miss(name, order, by_differences(name)) < 1


def test_record():
    """docs/transformations.md is that of the record, which holds every reading and is free of errors."""
    record = json.loads(RECORD.read_text())
    assert list(PAGE.read_text().splitlines()) == page(record).splitlines()
    for name in READERS:
        assert set(record[name]) == set(tried(name)), name
        assert all(x == "refused" if refusal(name, key) else x < 1 for key, x in record[name].items()), name
