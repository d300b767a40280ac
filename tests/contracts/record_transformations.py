"""Tries orders of transformations and writes docs/transformations.md: record_transformations.py [reading] …"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import conftest  # noqa: F401  the flags of the tests
import jax
from contracts.transformations import ORDERS, PAGE, READERS, RECORD, by_differences, miss, page, refusal, tried


def main(names: list[str]) -> None:
    """The given readings, or all; what others had stays."""
    for name in names or READERS:
        wanted, found = by_differences(name), {}
        for key in tried(name):
            if words := refusal(name, key):
                found[key] = "refused"
                print(name, key, words, flush=True)
                continue
            found[key] = float(f"{miss(name, ORDERS[key], wanted):.1e}")
            print(name, key, found[key], flush=True)
        jax.clear_caches()
        record = (json.loads(RECORD.read_text()) if RECORD.exists() else {}) | {name: found}
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        PAGE.write_text(page(record))


if __name__ == "__main__":
    main(sys.argv[1:])
