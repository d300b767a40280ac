"""W2: spin chains between baths over bare `eigh`, and given jump operators against a library's LU, QuTiP and dynamiqs.

Run `python benchmarks/w2_chain.py`; one JSON line per run is appended to benchmarks/results/w2.jsonl (not with
`--small`, which takes seconds). What each number means is in benchmarks/README.md. Answers must agree to 1e-10 before
anything is timed.
"""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_concurrency_optimized_scheduler=false"
# Threads of LAPACK wait for each other on a busy machine: `eigh` of a batch at d = 128 took 100 times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import functools as ft
import json
import pathlib
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import qutip

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)
qdb.compilation.keep_freed_memory()

EXCHANGE, ANISOTROPY, STRENGTH, CUTOFF, T_COLD = 0.5, 0.6, 0.02, 10.0, 0.4
TOLERANCE = 1e-10
QUTIP_METHODS = ("direct", "eigen", "svd", "power", "iterative-gmres")
QUTIP_CELLS = 3


def ends(spins, operator):
    """An operator on the first and on the last spin."""
    return [qdb.embed(operator, n, [2] * spins) for n in (0, spins - 1)]


def chain(fields):
    """An XXZ chain in fields along z."""
    return qdb.models.xxz_chain(fields, EXCHANGE, ANISOTROPY)


def heat(fields, t_hot):
    """Heat current from the bath at the first spin, through the public functions alone."""
    baths = [
        qdb.Bath(coupling, qdb.Ohmic(STRENGTH, CUTOFF), temperature=temperature, name=name)
        for coupling, temperature, name in zip(
            ends(fields.shape[0], qdb.sigma_x()), (t_hot, T_COLD), ("hot", "cold"), strict=True
        )
    ]
    generator = qdb.davies(chain(fields), baths)
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def heat_in_numpy(hamiltonian, t_hot):
    """The same current from golden-rule rates and LU, for levels that are not degenerate."""
    energies, basis = np.linalg.eigh(hamiltonian)
    d = len(energies)
    omega = energies[None, :] - energies[:, None] + np.eye(d)
    noise = [
        2 * np.pi * STRENGTH * omega * np.exp(-np.abs(omega) / CUTOFF) / -np.expm1(-omega / t) for t in (t_hot, T_COLD)
    ]
    couplings = [basis.T @ np.real(coupling) @ basis for coupling in ends(d.bit_length() - 1, qdb.sigma_x())]
    hot, cold = ((1 - np.eye(d)) * s**2 * gamma for s, gamma in zip(couplings, noise, strict=True))
    matrix = hot + cold - np.diag((hot + cold).sum(axis=0))
    populations = np.linalg.solve(np.vstack([matrix[:-1], np.ones(d)]), np.eye(d)[-1])
    return energies @ (hot @ populations - hot.sum(axis=0) * populations)


def stationary(hamiltonian, jumps):
    """ρ of given jump operators."""
    return qdb.steady_state(qdb.lindblad(hamiltonian, jumps)).density_matrix


def with_lu(hamiltonian, jumps):
    """ρ as ten lines of JAX: L of row-major vec(ρ) by Kronecker products, a row replaced by the trace, LU."""
    d = hamiltonian.shape[0]
    unit = jnp.eye(d, dtype=jumps.dtype)
    matrix = -1j * (jnp.kron(hamiltonian, unit) - jnp.kron(unit, hamiltonian.T))
    for k in jumps:
        product = k.conj().T @ k
        matrix += jnp.kron(k, k.conj()) - 0.5 * (jnp.kron(product, unit) + jnp.kron(unit, product.T))
    source = jnp.zeros(d * d, jumps.dtype).at[0].set(1)
    return jnp.linalg.solve(matrix.at[0].set(unit.reshape(-1)), source).reshape(d, d)


def with_dynamiqs(dq, hamiltonian, jumps):
    """ρ as a dynamiqs user writes it: `slindbladian` (column-major), a row replaced by the trace, LU."""
    d = hamiltonian.shape[0]
    matrix = dq.slindbladian(hamiltonian, list(jumps)).to_jax()
    trace = jnp.eye(d, dtype=matrix.dtype).reshape(-1)
    source = jnp.zeros(d * d, matrix.dtype).at[0].set(1)
    return jnp.linalg.solve(matrix.at[0].set(trace), source).reshape(d, d).T


def with_qutip(method, hamiltonian, jumps):
    """ρ of one cell by one of QuTiP's methods."""
    operators = [qutip.Qobj(k) for k in np.asarray(jumps)]
    return qutip.steadystate(qutip.Qobj(np.asarray(hamiltonian)), operators, method=method).full()


def random_levels(rng, d, cells):
    """Hamiltonians with Gaussian entries, and three jump operators each."""
    gaussian = rng.normal(size=(4, cells, d, d)) + 1j * rng.normal(size=(4, cells, d, d))
    hamiltonians = (gaussian[0] + gaussian[0].conj().swapaxes(-1, -2)) / 2
    return jnp.asarray(hamiltonians), jnp.asarray(0.3 * gaussian[1:].swapaxes(0, 1))


def driven_qubits(rng, spins, cells):
    """Disordered chains whose ends are raised and lowered."""
    hamiltonians = jax.vmap(lambda f: chain(f).hamiltonian)(jnp.asarray(rng.uniform(0.7, 1.3, (cells, spins))))
    lower = np.stack(ends(spins, np.array([[0.0, 1.0], [0.0, 0.0]])))
    operators = np.concatenate([lower, lower.swapaxes(-1, -2)]) + 0j
    return hamiltonians + 0j, jnp.asarray(np.sqrt(rng.uniform(0.02, 0.2, (cells, 4)))[:, :, None, None] * operators)


def compiled(function, arguments):
    """A compiled function and the seconds that took."""
    begin = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - begin


def medians(calls, rounds):
    """Median microseconds a cell of calls {name: (function, cells)}, taken in turn, and of processor time alike.

    A first round is not counted. XLA gives `eigh` of a batch to one core or to two as it happens: processor time is the
    steadier one.
    """
    samples, processor = {name: [] for name in calls}, {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, (call, cells) in calls.items():
            begin, used = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            samples[name].append((time.perf_counter() - begin) / cells * 1e6)
            processor[name].append((time.process_time() - used) / cells * 1e6)
    return tuple({name: statistics.median(x[1:]) for name, x in some.items()} for some in (samples, processor))


@ft.cache
def chain_programs(spins, cells):
    """Programs of a batch and of one point, ours and bare `eigh`, with the seconds to compile them."""
    shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, float)  # noqa: E731
    d = 2**spins
    return {
        "batch": compiled(jax.vmap(heat), (shape(cells, spins), shape(cells))),
        "point": compiled(heat, (shape(spins), shape())),
        "eigh, batch": compiled(jnp.linalg.eigh, [shape(cells, d, d)]),
        "eigh, point": compiled(jnp.linalg.eigh, [shape(d, d)]),
    }


def measure_chain(kind, d, rounds):
    """Chains of one length: a batch and one point, over `eigh` of the same matrices."""
    rng, spins, cells = np.random.default_rng(d), d.bit_length() - 1, int(np.clip(1e6 / d**2, 2, 512))
    fields = rng.uniform(0.7, 1.3, (cells, spins if kind == "disordered" else 1)) * np.ones(spins)
    batch = jnp.asarray(fields), jnp.asarray(rng.uniform(1.0, 2.0, cells))
    matrices = [jax.vmap(lambda f: chain(f).hamiltonian)(batch[0])]
    given = {"batch": batch, "eigh, batch": matrices}
    given |= {"point": [x[0] for x in batch], "eigh, point": [matrices[0][0]]}
    ready = chain_programs(spins, cells)
    found = np.asarray(ready["batch"][0](*batch))
    checked = [heat_in_numpy(np.asarray(matrices[0][n]), float(batch[1][n])) for n in range(min(cells, 5))]
    error = np.abs(found[: len(checked)] - checked).max() / np.abs(found).max()
    assert error < TOLERANCE, f"{kind}, d = {d}: answers disagree by {error}, nothing is timed"
    calls = {
        name: (ft.partial(ready[name][0], *given[name]), cells if "batch" in name else 1)
        for name in ("batch", "eigh, batch", "point", "eigh, point")
    }
    median, processor = medians(calls, rounds)
    over = lambda times: {name: times[name] / times[f"eigh, {name}"] for name in ("batch", "point")}  # noqa: E731
    return {
        "microseconds": median,
        "processor_microseconds": processor,
        "over_eigh": over(median),
        "over_eigh_processor": over(processor),
        "compile_seconds": {name: ready[name][1] for name in ("batch", "point")},
        "agreement": error,
        "cells": cells,
    }


def measure_jumps(name, hamiltonians, jumps, rounds, dq):
    """Given jump operators: ours, LU, dynamiqs if there is one, and those of QuTiP's methods that agree."""
    cells = hamiltonians.shape[0]
    functions = {"qdbjax": stationary, "LU": with_lu}
    if dq is not None:
        functions["dynamiqs"] = ft.partial(with_dynamiqs, dq)
    ready = {peer: compiled(jax.vmap(function), (hamiltonians, jumps)) for peer, function in functions.items()}
    found = np.asarray(ready["qdbjax"][0](hamiltonians, jumps))
    agreement = {
        peer: np.abs(np.asarray(program(hamiltonians, jumps)) - found).max() for peer, (program, _) in ready.items()
    }
    assert max(agreement.values()) < TOLERANCE, f"{name}: answers disagree, nothing is timed: {agreement}"
    calls = {peer: (ft.partial(program, hamiltonians, jumps), cells) for peer, (program, _) in ready.items()}
    for method in QUTIP_METHODS:
        few = [with_qutip(method, hamiltonians[n], jumps[n]) for n in range(QUTIP_CELLS)]
        error = np.abs(np.stack(few) - found[:QUTIP_CELLS]).max()
        if error >= TOLERANCE:
            print(f"{name}: QuTiP's {method} disagrees by {error:.0e}, not timed", flush=True)
            continue
        agreement[f"qutip, {method}"] = error
        calls[f"qutip, {method}"] = (ft.partial(with_qutip, method, hamiltonians[0], jumps[0]), 1)
    median, processor = medians(calls, rounds)
    ratios = {peer: median[peer] / median["qdbjax"] for peer in median if peer != "qdbjax"}
    seconds = {peer: spent for peer, (_, spent) in ready.items()}
    return {
        "microseconds": median,
        "processor_microseconds": processor,
        "ratios": ratios,
        "compile_seconds": seconds,
        "agreement": agreement,
        "cells": cells,
    }


def show(title, row):
    """One line for each name."""
    for name, value in row["microseconds"].items():
        print(f"{title:22s} {name:22s} {value:14.2f} us a cell", flush=True)


def main() -> None:
    """Chains, then given jumps; print and store medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, nargs="*", default=[8, 16, 32, 64, 128, 256, 512], help="of chains")
    parser.add_argument("--levels", type=int, nargs="*", default=[2, 3, 4, 6, 8, 16], help="with given jumps")
    parser.add_argument("--qubits", type=int, nargs="*", default=[2, 3, 4], help="with given jumps")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--small", action="store_true", help="a few small sizes, nothing stored")
    options = parser.parse_args()
    if options.small:
        options.dimensions, options.levels, options.qubits, options.rounds = [8, 16], [2, 3], [2], 2
    versions = {"jax": jax.__version__, "qutip": qutip.__version__}
    try:
        import dynamiqs as dq

        versions["dynamiqs"] = dq.__version__
    except ImportError:
        dq = None
        print("dynamiqs is not installed: left out")
    record = {
        "workload": "W2",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}",
        "versions": versions,
        "chains": {},
        "jumps": {},
    }
    for kind in ("disordered", "clean"):
        for d in options.dimensions:
            title = f"{kind}, d = {d}"
            record["chains"][title] = row = measure_chain(kind, d, options.rounds)
            show(title, row)
            for name in ("over_eigh", "over_eigh_processor"):
                print(f"{title:22s} {name}: {', '.join(f'{k} {v:.2f}' for k, v in row[name].items())}")
    problems = [(f"{d} levels", random_levels, d, d) for d in options.levels]
    problems += [(f"{n} qubits", driven_qubits, n, 2**n) for n in options.qubits]
    for title, make, size, d in problems:
        given = make(np.random.default_rng(size), size, int(np.clip(2e6 / d**4, 8, 4096)))
        record["jumps"][title] = row = measure_jumps(title, *given, options.rounds, dq)
        show(title, row)
    if not options.small:
        target = pathlib.Path(__file__).parent / "results" / "w2.jsonl"
        with target.open("a") as stream:
            stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
