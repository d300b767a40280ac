"""Measures the public programs anew and writes program_sizes.json: python tests/compilation/record_sizes.py"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import conftest  # noqa: F401  the flags of the tests
import jaxlib
from public_programs import PROGRAMS, compiled_instructions, instructions, lowered


def main() -> None:
    """Every public program, of 3 and 8 levels, forward and gradient."""
    table = {"jaxlib": jaxlib.__version__}
    for name in PROGRAMS:
        for d in (3, 8):
            for mode in ("value", "gradient"):
                program = lowered(name, d, mode)
                key = f"{name}, d = {d}, {mode}"
                table[key] = {"given": instructions(program), **compiled_instructions(program)}
                print(key, table[key], flush=True)
    (HERE / "program_sizes.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
