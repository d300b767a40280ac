"""Cells with equal levels beside cells without: heat currents and gradients of random systems of 3 to 16 levels.

Run `python benchmarks/crossings.py [d ...]`; one JSON line per dimension is appended to results/crossings.jsonl. What
each number means is in benchmarks/README.md. Before anything is reported, values must agree with those of a Hamiltonian
that is known before tracing, whose block is solved by itself.
"""

import argparse
import functools
import json
import pathlib
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

CELLS = {3: 20000, 4: 4000, 8: 1000, 16: 256}
# How many levels have the energy of the lowest one: none other, one, or more than fit into 2d entries.
EQUAL = {3: (1, 2, 3), 4: (1, 2, 4), 8: (1, 2, 5), 16: (1, 2, 6)}
REPEATS = 7


def system(d: int):
    """A heat current as a function of temperature and energies, for fixed random eigenvectors and couplings."""
    rng = np.random.default_rng(d)
    square = lambda: rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))  # noqa: E731
    basis, coupling = np.linalg.qr(square())[0], square()
    coupling = (coupling + coupling.conj().T) / 2
    energies = np.sort(rng.uniform(0, d / 4, d))

    def current(temperature, energies):
        hamiltonian = (basis * energies) @ basis.conj().T
        hot = qdb.Bath(coupling, qdb.Ohmic(0.01, 10.0), temperature=temperature, name="hot")
        cold = qdb.Bath(np.diag(np.linspace(-1, 1, d)), qdb.Ohmic(0.01, 10.0), temperature=0.3, name="cold")
        generator = qdb.davies((hamiltonian + hamiltonian.conj().T) / 2, [hot, cold])
        return qdb.heat_currents(generator, qdb.steady_state(generator))[0]

    return current, energies


def microseconds(program, *arguments) -> float:
    """Median time a cell of a compiled call."""
    jax.block_until_ready(program(*arguments))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times) / len(arguments[0]) * 1e6


def measure(d: int) -> dict:
    """Microseconds a cell, value and gradient in the temperature, by the number of levels that are equal."""
    current, energies = system(d)
    temperatures = jnp.linspace(0.3, 2, CELLS[d])
    both = {"value": current, "gradient": jax.grad(current)}
    programs = {name: jax.jit(jax.vmap(function)) for name, function in both.items()}
    found: dict = {"d": d}
    for equal in EQUAL[d]:
        given = np.where(np.arange(d) < equal, energies[0], energies)
        each = jnp.broadcast_to(given, (CELLS[d], d))
        for name, program in programs.items():
            known = jax.jit(functools.partial(both[name], energies=given))(temperatures[0])
            np.testing.assert_allclose(program(temperatures, each)[0], known, rtol=1e-9, atol=1e-14)
            found[f"{name}, {equal} equal"] = round(microseconds(program, temperatures, each), 2)
    first, second, third = (found[f"value, {equal} equal"] for equal in EQUAL[d])
    found |= {"pair over none": round(second / first, 1), "more over none": round(third / first, 1)}
    return found


def main() -> None:
    """Print and record one line for each dimension."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dimensions", nargs="*", type=int, default=list(CELLS))
    record = pathlib.Path(__file__).parent / "results" / "crossings.jsonl"
    machine = {"machine": platform.machine(), "jax": jax.__version__, "device": str(jax.devices()[0].device_kind)}
    for d in parser.parse_args().dimensions:
        line = json.dumps({"date": time.strftime("%Y-%m-%d"), **machine, **measure(d)})
        print(line, flush=True)
        with record.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
