"""W1 and given jumps on an accelerator: cells a second in double and single precision, beside the device's LU.

    python benchmarks/gpu.py            # one JSON line is appended to results/gpu.jsonl
    python benchmarks/gpu.py given LU   # only what begins with one of these words

Every number is checked against NumPy or the same program on the CPU for the first 512 cells before anything is timed.
"""

import json
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

RESULTS = pathlib.Path(__file__).parent / "results" / "gpu.jsonl"
CHECKED, ROUNDS = 512, 7


def ring(temperature, flux, known=True):
    system = qdb.models.three_dot_ring(0.5, flux)
    return _heat(system if known else qdb.System(system.hamiltonian), [qdb.site(n, 3) for n in range(2)], temperature)


def generic(temperature, flux):
    return ring(temperature, flux, known=False)


def chain(spins):
    shape = [2] * spins
    ends = [qdb.embed(qdb.sigma_x(), n, shape) for n in (0, spins - 1)]

    def heat(temperature, field):
        fields = field * jnp.asarray(1.0 + 0.3 * np.arange(spins), field.dtype)
        return _heat(qdb.models.xxz_chain(fields, 0.4, 0.6), ends, temperature)

    return heat


def _heat(system, couplings, temperature):
    baths = [
        qdb.Bath(coupling, qdb.Ohmic(0.01, 10.0), temperature=t, name=str(n))
        for n, (coupling, t) in enumerate(zip(couplings, (temperature, 0.2), strict=True))
    ]
    generator = qdb.davies(system, baths)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def _given(d):
    rng = np.random.default_rng(d)
    h, jumps = rng.normal(size=(d, d)), 0.3 * rng.normal(size=(2, d, d))
    return h + h.T, jumps


def given_jumps(d):
    h, jumps = _given(d)

    def population(x, y):
        made = qdb.lindblad(x * jnp.asarray(h, x.dtype), y * jnp.asarray(jumps, x.dtype))
        return jnp.real(qdb.steady_state(made).density_matrix[0, 0])

    return population


def plain_lu(d):
    """What is written in ten lines: the Liouvillian with a row of it replaced by the trace, one LU a cell."""
    h, jumps = _given(d)
    unit = np.eye(d)
    unitary = -1j * (np.kron(h, unit) - np.kron(unit, h.T))
    loss = sum(j.T @ j for j in jumps)
    dissipator = sum(np.kron(j, j) for j in jumps) - 0.5 * (np.kron(loss, unit) + np.kron(unit, loss.T))

    def population(x, y):
        dtype = jnp.complex128 if x.dtype == jnp.float64 else jnp.complex64
        matrix = x.astype(dtype) * jnp.asarray(unitary, dtype) + (y * y).astype(dtype) * jnp.asarray(dissipator, dtype)
        matrix = matrix.at[0].set(jnp.asarray(unit.reshape(-1), dtype))
        return jnp.real(jnp.linalg.solve(matrix, jnp.asarray(np.eye(d * d)[0], dtype))[0])

    return population


WORKLOADS = {
    "ring": (ring, 4_000_000),
    "ring gradient": (jax.grad(ring, (0, 1)), 1_000_000),
    "generic 3x3": (generic, 4_000_000),
    "generic 3x3 gradient": (jax.grad(generic, (0, 1)), 1_000_000),
    "chain d = 4": (chain(2), 1_000_000),
    "chain d = 8": (chain(3), 200_000),
    "chain d = 16": (chain(4), 50_000),
    "given jumps d = 2": (given_jumps(2), 1_000_000),
    "LU d = 2": (plain_lu(2), 1_000_000),
    "given jumps d = 3": (given_jumps(3), 400_000),
    "LU d = 3": (plain_lu(3), 400_000),
    "given jumps d = 4": (given_jumps(4), 100_000),
    "LU d = 4": (plain_lu(4), 100_000),
}


def points(count, dtype):
    rng = np.random.default_rng(0)
    return rng.uniform(0.3, 2.0, count).astype(dtype), rng.uniform(0.02, 0.48, count).astype(dtype)


def measured(function, count, dtype):
    x, y = points(count, dtype)
    cpu = jax.devices("cpu")[0]
    few = [jax.device_put(v[:CHECKED], cpu) for v in (x, y)]
    right = np.asarray(jax.tree.leaves(jax.jit(jax.vmap(function))(*few))[0])
    start = time.perf_counter()
    program = jax.jit(jax.vmap(function)).lower(x, y).compile()
    compiling = time.perf_counter() - start
    x, y = jax.device_put(x), jax.device_put(y)
    found = np.asarray(jax.tree.leaves(program(x, y))[0])[:CHECKED]
    differs = float(np.nanmax(np.abs(found - right)) / np.nanmax(np.abs(right)))
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(program(x, y))
        times.append(time.perf_counter() - start)
    return {"cells_per_second": count / min(times), "compile_seconds": compiling, "differs": differs}


def main():
    device = jax.devices()[0]
    line = {"device": device.device_kind, "jax": jax.__version__, "date": time.strftime("%Y-%m-%d")}
    for wide in (True, False):
        with jax.enable_x64(wide):
            for name, (function, count) in WORKLOADS.items():
                if not name.startswith(tuple(sys.argv[1:]) or ""):
                    continue
                key = f"{name}, float{64 if wide else 32}"
                try:
                    line[key] = measured(function, count, np.float64 if wide else np.float32)
                except Exception as error:  # one workload that fails leaves the others their numbers
                    line[key] = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
                print(key, line[key], flush=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
