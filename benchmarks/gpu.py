"""W1, W3, W5 and W6 on an accelerator: cells a second in double and single precision, beside the device's LU.

    python benchmarks/gpu.py                      # one JSON line is appended to results/gpu.jsonl
    python benchmarks/gpu.py given LU --bits 64   # only what begins with one of these words, in one precision
    python benchmarks/gpu.py --cells 64 --rounds 1 --out none    # a rehearsal, on a CPU too

Every number is checked against the same program on the CPU for the first 512 cells before anything is timed, and every
eigensystem of every cell by its residual (batched Jacobi of cuSOLVER has returned wrong ones).
"""

import argparse
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb
from qdbjax.numerics.eigensystem import eigh

RESULTS = pathlib.Path(__file__).parent / "results" / "gpu.jsonl"
CHECKED, ROUNDS = 512, 7
# Sets of a Lindblad equation a second on an RTX 3080, as published for GQIS.
PUBLISHED = {"given jumps d = 2": 1.1e7, "given jumps d = 4": 3.5e6}
TIMES = np.linspace(0.0, 20.0, 21)


def ring(temperature, flux, known=True):
    system = qdb.models.three_dot_ring(0.5, flux)
    return _heat(system if known else qdb.System(system.hamiltonian), [qdb.site(n, 3) for n in range(2)], temperature)


def generic(temperature, flux):
    return ring(temperature, flux, known=False)


def ring_crossing(temperature, flux):
    """The ring with a tenth of its cells where two levels cross, in any order."""
    return ring(temperature, jnp.where(flux < 0.066, 0.5, flux))


def chain_parts(spins):
    """Hamiltonian as a function of the field, and the couplings of the two ends."""
    shape = [2] * spins
    ends = [qdb.embed(qdb.sigma_x(), n, shape) for n in (0, spins - 1)]

    def system(field):
        return qdb.models.xxz_chain(field * jnp.asarray(1.0 + 0.3 * np.arange(spins), field.dtype), 0.4, 0.6)

    return system, ends


def chain(spins):
    """W1: heat through a chain, levels by the device's batched eigh."""
    system, ends = chain_parts(spins)
    return lambda temperature, field: _heat(system(field), ends, temperature)


def evolution(spins):
    """W3: the last population of a chain that starts with all spins up."""
    system, ends = chain_parts(spins)
    start = np.diag(np.eye(2**spins)[0])

    def population(temperature, field):
        made = qdb.davies(system(field), _baths(ends, temperature))
        times = jnp.asarray(TIMES, field.dtype)
        return qdb.evolve(made, start, times, save="populations", rtol=1e-6, atol=1e-8).populations[-1, 0]

    return population


def loop_current(temperature, flux):
    """W5: what circulates in a ring in a dilute gas, in equilibrium."""
    gas = qdb.Gas(np.diag([1.0, 0.7, 1.5]), temperature=temperature)
    generator = qdb.low_density(qdb.models.three_dot_ring(-0.29, flux), gas)
    return qdb.balance.probability_currents(generator)[1, 2]


def _baths(couplings, temperature):
    return [
        qdb.Bath(coupling, qdb.Ohmic(0.01, 10.0), temperature=t, name=str(n))
        for n, (coupling, t) in enumerate(zip(couplings, (temperature, 0.2), strict=True))
    ]


def _heat(system, couplings, temperature):
    generator = qdb.davies(system, _baths(couplings, temperature))
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


# Largest numbers of cells are what 8 GB hold in double precision.
WORKLOADS = {
    "ring": (ring, 4_000_000),
    "ring gradient": (jax.grad(ring, (0, 1)), 1_000_000),
    "ring, a tenth crosses": (ring_crossing, 1_000_000),
    "ring gradient, a tenth crosses": (jax.grad(ring_crossing, (0, 1)), 400_000),
    "generic 3x3": (generic, 4_000_000),
    "generic 3x3 gradient": (jax.grad(generic, (0, 1)), 1_000_000),
    "chain d = 4": (chain(2), 1_000_000),
    "chain d = 8": (chain(3), 200_000),
    "chain d = 16": (chain(4), 50_000),
    "evolution d = 4": (evolution(2), 100_000),
    "evolution d = 8": (evolution(3), 20_000),
    "gas": (loop_current, 400_000),
    **{
        f"given jumps d = {d}": (given_jumps(d), count)
        for d, count in zip((2, 3, 4, 6, 8), (10**6, 4 * 10**5, 10**5, 20_000, 5_000), strict=True)
    },
    **{
        f"LU d = {d}": (plain_lu(d), count)
        for d, count in zip((2, 3, 4, 6, 8), (10**6, 4 * 10**5, 10**5, 20_000, 5_000), strict=True)
    },
}


def _ring_matrix(flux):
    return qdb.models.three_dot_ring(0.5, flux).hamiltonian


def _given_matrix(d):
    return lambda x: x * jnp.asarray(_given(d)[0], x.dtype)


EIGENSYSTEMS = {
    "generic 3x3": (_ring_matrix, 4_000_000),
    **{
        f"chain d = {2**n}": (lambda x, n=n: chain_parts(n)[0](x).hamiltonian, count)
        for n, count in ((2, 10**6), (3, 200_000), (4, 50_000))
    },
    **{f"given jumps d = {d}": (_given_matrix(d), 10**5) for d in (2, 4, 6, 8)},
}


def points(count, dtype):
    rng = np.random.default_rng(0)
    return rng.uniform(0.3, 2.0, count).astype(dtype), rng.uniform(0.02, 0.48, count).astype(dtype)


def fastest(program, arguments, rounds):
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def costs(program, seconds, limits):
    """Bytes and operations a second as XLA counts them, and as parts of the measured ceilings; above 1 from a cache."""
    analysis = program.cost_analysis() or {}
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    rates = {"bytes_per_second": analysis.get("bytes accessed", 0.0), "flops_per_second": analysis.get("flops", 0.0)}
    rates = {name: float(count) / seconds for name, count in rates.items()}
    return {**rates, **{name.replace("_per_second", "_of_ceiling"): rates[name] / limits[name] for name in rates}}


def ceilings(dtype, rounds, size):
    """What the device reaches: bytes a second of a sum of two vectors, operations a second of long polynomials."""
    x, y = (jnp.asarray(np.random.default_rng(n).uniform(size=size), dtype) for n in (1, 2))
    terms = 512

    def polynomial(x, y):
        return jax.lax.fori_loop(0, terms, lambda _, z: z * x + y, x, unroll=64)

    add, horner = (jax.jit(f).lower(x, y).compile() for f in (lambda x, y: x + y, polynomial))
    moved, counted = 3 * x.nbytes, 2 * terms * size
    return {
        "bytes_per_second": moved / fastest(add, (x, y), rounds),
        "flops_per_second": counted / fastest(horner, (x, y), rounds),
    }


def residuals(matrix, count, dtype):
    """Largest |HV - VE| and |V†V - 1| of all cells, relative to the width of H, in units of eps."""
    _, y = points(count, dtype)

    def of_one(x):
        hamiltonian = matrix(x)
        energies, basis = eigh(hamiltonian)
        product = jnp.matmul(hamiltonian, basis, precision="highest")
        size = jnp.max(jnp.abs(hamiltonian))
        wrong = jnp.max(jnp.abs(product - basis * energies[None].astype(basis.dtype))) / size
        overlap = jnp.matmul(basis.conj().T, basis, precision="highest")
        return jnp.maximum(wrong, jnp.max(jnp.abs(overlap - jnp.eye(len(energies), dtype=basis.dtype))))

    found = np.asarray(jax.jit(jax.vmap(of_one))(y))
    eps = float(np.finfo(dtype).eps)
    return {
        "cells": count,
        "largest": float(found.max() / eps),
        "not_finite": int(np.count_nonzero(~np.isfinite(found))),
    }


def measured(function, count, dtype, rounds, limits):
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
    seconds = fastest(program, (x, y), rounds)
    made = {"cells": count, "cells_per_second": count / seconds, "compile_seconds": compiling, "differs": differs}
    return {**made, **costs(program, seconds, limits)}


def attempt(line, key, work, *arguments):
    """One workload that fails leaves the others their numbers."""
    try:
        line[key] = work(*arguments)
    except Exception as error:
        line[key] = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
    print(key, line[key], flush=True)


def measure(line, bits, wanted, cells, rounds):
    """All workloads that begin with one of the words, in one precision."""
    dtype = np.float64 if bits == 64 else np.float32
    limits = line[f"ceilings, float{bits}"] = ceilings(dtype, rounds, min(2**26, 2**10 * cells))
    for name, (matrix, count) in EIGENSYSTEMS.items():
        if name.startswith(wanted):
            attempt(line, f"eigensystems of {name}, float{bits}", residuals, matrix, min(count, cells), dtype)
    for name, (function, count) in WORKLOADS.items():
        if name.startswith(wanted):
            attempt(line, f"{name}, float{bits}", measured, function, min(count, cells), dtype, rounds, limits)


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only what begins with one of these")
    parser.add_argument("--cells", type=int, default=10**9, help="no more cells than this")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--bits", type=int, choices=(64, 32), help="of a real number; both unless said")
    parser.add_argument("--out", default=str(RESULTS), help="file of JSON lines, or none")
    options = parser.parse_args(given)
    wanted = tuple(options.words) or ("",)
    device = jax.devices()[0]
    line = {"device": device.device_kind, "jax": jax.__version__, "date": time.strftime("%Y-%m-%d")}
    line["published, RTX 3080"] = PUBLISHED
    try:
        for bits in (64, 32) if options.bits is None else (options.bits,):
            with jax.enable_x64(bits == 64):
                measure(line, bits, wanted, options.cells, options.rounds)
    finally:  # what was measured before an interrupt is kept
        if options.out != "none":
            with pathlib.Path(options.out).open("a") as file:
                file.write(json.dumps(line) + "\n")
    return line


if __name__ == "__main__":
    main()
