"""What `import qdbjax` costs beyond JAX's own import: medians of fresh processes, one JSON line."""

import json
import pathlib
import statistics
import subprocess
import sys

MEASURE = """
import time
start = time.perf_counter()
import jax, jax.numpy
middle = time.perf_counter()
import qdbjax
print(middle - start, time.perf_counter() - middle)
"""


def main(rounds: int = 9) -> None:
    """Run, print, store."""
    runs = [
        subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
        for _ in range(rounds)
    ]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    record = {
        "workload": "import",
        "jax_seconds": statistics.median(first for first, _ in pairs),
        "qdbjax_seconds": statistics.median(second for _, second in pairs),
    }
    print(record)
    target = pathlib.Path(__file__).parent / "results" / "import.jsonl"
    target.parent.mkdir(exist_ok=True)
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
