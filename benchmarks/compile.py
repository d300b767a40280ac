"""Processor seconds to the first number: what a user waits for, beside qthermo's first call for the same number.

Each task runs in processes of its own, with an empty and with a filled folder of compiled programs. Seconds are those
of the processor (all threads) after imports; tracing, lowering and compiling are what JAX reports of its own steps.

    python benchmarks/compile.py [TASK …]
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROUNDS = 3

# The front door imports what is used when it is used: here before the clock starts, beside it in `import`.
OURS = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
import time
loading = time.process_time()
import qdbjax as qdb
qdb.davies, qdb.models, qdb.steady_state, qdb.heat_currents
loading = time.process_time() - loading
"""
THEIRS = "import numpy as np, qthermo as qt\nloading = 0.0\n"
RING = """
def ring(T_hot, flux):
    system = qdb.models.three_dot_ring(tunneling=0.5, flux=flux)
    hot = qdb.Bath(qdb.site(0, 3), qdb.Ohmic(0.01, cutoff=10.0), temperature=T_hot, name="hot")
    cold = qdb.Bath(qdb.site(1, 3), qdb.Ohmic(0.01, cutoff=10.0), temperature=0.2, name="cold")
    return qdb.davies(system, [hot, cold])
def heat_current(T_hot, flux):
    generator = ring(T_hot, flux)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]
"""
CHAIN = """
def chain(T_hot, exchange):
    system, sites = qdb.models.xxz_chain(jnp.array([1.0, 1.2, 0.9]), exchange, 0.7), [2] * 3
    ends = [qdb.Bath(qdb.embed(qdb.sigma_x(), n, sites), qdb.Ohmic(0.01, 10.0), temperature=t)
            for n, t in ((0, T_hot), (2, 0.5))]
    generator = qdb.davies(system, ends)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]
"""
SYSTEMS = """
rng, systems = np.random.default_rng(0), []
for n in range(60):  # 50 shapes: 2 to 6 levels, 1 to 5 baths, real or complex
    d, count, complex_ = 2 + n % 5, 1 + n // 5 % 5, n // 25 % 2
    draw = lambda: (lambda m: m + m.conj().T)(rng.normal(size=(d, d)) + 1j * complex_ * rng.normal(size=(d, d)))
    systems.append((draw() if complex_ else draw().real, [draw() if complex_ else draw().real for _ in range(count)]))
"""

# task: (ours, qthermo's or None); each prints numbers, which must agree where there are two
TASKS = {
    "readme steady state and currents": (
        RING + "g = ring(1.0, 0.3)\nprint(*qdb.heat_currents(g, qdb.steady_state(g)))",
        """
w = np.exp(-2j * np.pi * 0.3 / 3) * 0.5
H = np.array([[0, w, np.conj(w)], [np.conj(w), 0, w], [w, np.conj(w), 0]])
J = qt.ohmic_spectrum(2 * np.pi * 0.01, cutoff=10.0)
baths = [qt.davies_bath(H, np.diag(np.eye(3)[n]), t, spectrum=J, name=str(n)) for n, t in enumerate((1.0, 0.2))]
found = qt.analyze(H, baths)
print(found.current("0"), found.current("1"))
""",
    ),
    "readme gradient": (RING + "print(jax.grad(heat_current)(1.0, 0.3))", None),
    "chain of 3 spins": (CHAIN + "print(chain(1.0, 0.3))", None),
    "chain of 3 spins, gradient": (CHAIN + "print(jax.grad(chain)(1.0, 0.3))", None),
    "maser": (
        """
maser = qdb.models.three_level_maser([0.0, 1.0, 3.0], [2.0, 0.5, 50.0])
generator = qdb.davies(*maser)
print(*qdb.heat_currents(generator, qdb.steady_state(generator)))
""",
        """
H, J = np.diag([0.0, 1.0, 3.0]), qt.ohmic_spectrum(2 * np.pi * 0.01, cutoff=20.0)
pairs = {"hot": (0, 2, 2.0), "cold": (1, 2, 0.5), "work": (0, 1, 50.0)}
e = np.eye(3)
baths = [qt.davies_bath(H, np.outer(e[a], e[b]) + np.outer(e[b], e[a]), t, spectrum=J, name=n)
         for n, (a, b, t) in pairs.items()]
found = qt.analyze(H, baths)
print(*(found.current(n) for n in pairs))
""",
    ),
    "three-qubit refrigerator": (
        """
generator = qdb.davies(*qdb.models.three_qubit_refrigerator(1.0, 1.5, 0.05, [0.9, 1.0, 2.0]))
print(*qdb.heat_currents(generator, qdb.steady_state(generator)))
""",
        """
z, x, one = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
put = lambda a, n: np.kron(np.kron(*[a if m == n else one for m in (0, 1)]), a if n == 2 else one)
H = sum(0.5 * e * put(z, n) for n, e in enumerate((1.0, 2.5, 1.5)))
flip = np.zeros((8, 8)); flip[2, 5] = flip[5, 2] = 0.05
H, J = H + flip, qt.ohmic_spectrum(2 * np.pi * 0.001, cutoff=20.0)
baths = [qt.davies_bath(H, put(x, n), t, spectrum=J, name=str(n)) for n, t in enumerate((0.9, 1.0, 2.0))]
found = qt.analyze(H, baths)
print(*(found.current(str(n)) for n in range(3)))
""",
    ),
    "noise of a qubit": (
        """
baths = [qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, 10.0), temperature=t, name=n)
         for n, t in (("hot", 2.0), ("cold", 0.5))]
generator = qdb.davies(np.diag([0.5, -0.5]), baths)
print(*qdb.cumulants(generator, qdb.steady_state(generator), "hot", order=2))
""",
        """
H, J, x = np.diag([0.5, -0.5]), qt.ohmic_spectrum(2 * np.pi * 0.01, cutoff=10.0), np.array([[0.0, 1.0], [1.0, 0.0]])
baths = [qt.davies_bath(H, x, t, spectrum=J, name=n) for n, t in (("hot", 2.0), ("cold", 0.5))]
found = qt.current_statistics(H, {"hot": "energy"}, baths=baths)
print(found.mean, found.noise)
""",
    ),
    "driven qubit": (
        """
bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 10.0), temperature=0.5)
protocol = lambda time: qdb.davies((0.5 + 0.02 * time) * jnp.asarray(qdb.sigma_z(), time.dtype), bath)
print(qdb.evolve(protocol, np.diag([0.5, 0.5]), np.linspace(0.0, 50.0, 51)).account.work[-1])
""",
        None,
    ),
    "another driven qubit": (
        """
bath = qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.05, 10.0), temperature=0.5)
def ramp(rate):
    protocol = lambda time: qdb.davies((0.5 + rate * time) * jnp.asarray(qdb.sigma_z(), time.dtype), bath)
    return qdb.evolve(protocol, np.diag([0.5, 0.5]), np.linspace(0.0, 50.0, 51)).account.work[-1]
ramp(0.02)
restart()
print(ramp(0.03))
""",
        None,
    ),
    "transistor": (
        """
generator = qdb.davies(*qdb.models.heat_transistor([0.3, 0.5, 0.4], [1.0, 1.0, 0.0], [0.5, 0.3, 0.1]))
print(qdb.thermodynamics.amplification(generator, control="base", output="collector"))
""",
        None,
    ),
    "evolution": (
        RING + "print(*qdb.evolve(ring(1.0, 0.3), [1.0, 0, 0], np.linspace(0, 200, 101)).populations[-1])",
        None,
    ),
    "sweep of 60 x 90": (
        RING + "d = qdb.sweep(heat_current, T_hot=np.linspace(0.2, 2, 60), flux=np.linspace(0, 3, 90))\n"
        "print(float(d.heat_current.max()))",
        None,
    ),
    "balance report": (RING + "print(qdb.balance_report(ring(1.0, 0.3)).entropy_production)", None),
    "60 systems of 50 shapes": (
        SYSTEMS
        + """
total = 0.0
for hamiltonian, couplings in systems:
    generator = qdb.davies(hamiltonian, [qdb.Bath(c, qdb.Ohmic(0.01, 10.0), temperature=0.5 + 0.3 * n, name=str(n))
                                         for n, c in enumerate(couplings)])
    total += float(qdb.heat_currents(generator, qdb.steady_state(generator))[0])
print(total)
""",
        SYSTEMS
        + """
J, total = qt.ohmic_spectrum(2 * np.pi * 0.01, cutoff=10.0), 0.0
for H, couplings in systems:
    baths = [qt.davies_bath(H, c, 0.5 + 0.3 * n, spectrum=J, name=str(n)) for n, c in enumerate(couplings)]
    total += qt.analyze(H, baths).current("0")
print(total)
""",
    ),
}
COMMANDS = {
    "example 01, command line": "01_three_dot_currents.toml",
    "example 18, a fit, command line": "18_fit_to_measured_currents.toml",
}

WRAPPED = """
import time
{imports}
spent = {{}}
try:
    import jax
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: spent.__setitem__(name, spent.get(name, 0.0) + seconds))
    if {cache!r}:
        jax.config.update("jax_compilation_cache_dir", {cache!r})
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
except ModuleNotFoundError:
    pass
begun = [time.process_time()]
def restart():
    begun[0] = time.process_time(); spent.clear()
{task}
print()
print("seconds", time.process_time() - begun[0])
print("import", loading)
for name, word in (("jaxpr_trace", "trace"), ("jaxpr_to_mlir_module", "lower"), ("backend_compile", "compile")):
    print(word, sum(seconds for key, seconds in spent.items() if key.endswith(name + "_duration")))
"""


def run(imports: str, task: str, cache: str = "") -> tuple[list[float], dict[str, float]]:
    """Numbers that a task prints, and its seconds."""
    code = WRAPPED.format(imports=imports, task=task, cache=cache)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stderr}\nin:\n{task}")
    head, tail = done.stdout.split("\n\n")
    return [float(word) for word in head.split()], {
        a: float(b) for a, b in (line.split() for line in tail.splitlines())
    }


def measured(name: str) -> dict:
    """Medians of a task: first call, second process with programs on disk, qthermo."""
    ours, theirs = TASKS[name]
    runs, cached, others = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        run(OURS, ours, folder)
        for _ in range(ROUNDS):
            numbers, seconds = run(OURS, ours)
            runs.append(seconds)
            cached.append(run(OURS, ours, folder)[1]["seconds"])
            if theirs:
                wanted, seconds = run(THEIRS, theirs)
                others.append(seconds["seconds"])
                worst = max(abs(a - b) for a, b in zip(numbers, wanted, strict=True))
                if worst > 1e-8 * max(map(abs, wanted)):
                    raise ArithmeticError(f"{name}: {numbers} is not {wanted}")
    found = {word: round(statistics.median(each[word] for each in runs), 3) for word in runs[0]}
    found["second process"] = round(statistics.median(cached), 3)
    return found | ({"qthermo": round(statistics.median(others), 3)} if others else {})


def commanded(name: str) -> dict:
    """Processor seconds of a whole command, without programs on disk and with them."""
    file, found = HERE.parent / "examples" / COMMANDS[name], {}
    with tempfile.TemporaryDirectory() as folder:
        for word in ("seconds", "second process"):
            before = os.times()
            command = [sys.executable, "-m", "qdbjax", "run", str(file), "--output", folder, "--overwrite", "--quiet"]
            subprocess.run(command, check=True, env=os.environ | {"QDBJAX_CACHE": f"{folder}/programs"})
            after = os.times()
            children = after.children_user - before.children_user + after.children_system - before.children_system
            found[word] = round(children, 2)
    return found


def main(names: list[str]) -> None:
    """Run, print, store."""
    record = {"workload": "compile", "rounds": ROUNDS, "tasks": {}}
    for name in names or [*TASKS, *COMMANDS]:
        record["tasks"][name] = commanded(name) if name in COMMANDS else measured(name)
        print(f"{name:34s}", record["tasks"][name], flush=True)
    with (HERE / "results" / "compile.jsonl").open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
