"""Whether every public program compiles and runs on this processor, with the settings that a user has.

LLVM can end the process on an instruction that it has no code for, and several LAPACK calls at once can hang it: each
program, of d = 2 … 9 and 16 levels, value and gradient, runs in a process of its own under JAX's default options (the
tests run under the quick ones). One JSON line in results/compile_all.jsonl: what failed, and how.

    python benchmarks/compile_all.py [NAME …]
"""

import concurrent.futures
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 16)
LIMIT = 600  # seconds after which a process counts as hung

ONE = """
import sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from public_programs import POINT, lowered
for mode in ("value", "gradient"):
    found = lowered({name!r}, {d}, mode).compile()(POINT)
    print("fine" if np.all(np.isfinite(found)) else "nan", end=" ", flush=True)
"""


def run(case: tuple[str, int]) -> dict:
    """One program in a process of its own, without the flags that tests and command line set."""
    name, d = case
    plain = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "NPROC")}
    plain["PYTHONPATH"] = str(HERE.parent)
    code, start = ONE.format(tests=str(HERE.parent / "tests"), name=name, d=d), time.perf_counter()
    try:
        done = subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, timeout=LIMIT)
        exit_code, said = done.returncode, done.stdout.split()
        last = done.stderr.strip().splitlines()[-1:] if exit_code else []
    except subprocess.TimeoutExpired as hung:
        exit_code, said, last = "hung", (hung.stdout or b"").decode().split(), []
    found = {"program": name, "d": d, "exit": exit_code, "runs": said, "seconds": round(time.perf_counter() - start, 1)}
    print(found, *last, flush=True)
    return found | ({"error": last[0]} if last else {})


def main(names: list[str]) -> None:
    """Run, print, store."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    import jaxlib
    from public_programs import PROGRAMS

    cases = [(name, d) for name in names or PROGRAMS for d in SIZES]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(run, cases))
    bad = [each for each in found if each["exit"] != 0 or len(each["runs"]) != 2]
    record = {
        "workload": "compile_all",
        "jaxlib": jaxlib.__version__,
        "processor": platform.processor() or platform.machine(),
        "programs": len(found),
        "compiled": sum(len(each["runs"]) for each in found),
        "failed": bad,
        "not finite": [f"{each['program']}, d = {each['d']}" for each in found if "nan" in each["runs"]],
        "slowest": max(found, key=lambda each: each["seconds"]),
    }
    print(json.dumps(record, indent=1))
    with (HERE / "results" / "compile_all.jsonl").open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
