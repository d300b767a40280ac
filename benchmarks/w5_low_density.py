"""W5: loop current of three dots in a gas over temperature and flux. Run `python benchmarks/w5_low_density.py`."""

import json
import os
import pathlib
import statistics
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_enable_concurrency_optimized_scheduler=false")

import jax
import jax.numpy as jnp
import numpy as np

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

POINTS, PEER_POINTS, ROUNDS, NODES = 400, 300, 3, 48
TUNNELLING, POTENTIAL = -0.5 / np.sqrt(3), np.diag([1.0, 0.7, 1.5])
LEVELS = np.arange(3)
BASIS = np.exp(-2j * np.pi * np.outer(LEVELS, LEVELS) / 3) / np.sqrt(3)
THETA, WEIGHT = np.polynomial.legendre.leggauss(NODES)


def loop_current(flux, temperature):
    """K₁₂ in equilibrium."""
    gas = qdb.Gas(POTENTIAL, temperature=temperature)
    generator = qdb.low_density(qdb.models.three_dot_ring(TUNNELLING, flux), gas)
    return qdb.balance.probability_currents(generator)[1, 2]


def by_hand(flux, temperature):
    """The same in NumPy, nodes vectorised: E = a + (b - a) sin²θ between thresholds and E = E_max + u² beyond."""
    energies = 2 * TUNNELLING * np.cos(2 * np.pi * (flux + LEVELS) / 3)
    ordered = np.sort(energies)
    angle, reach = np.pi / 4 * (THETA + 1), 6.3 * np.sqrt(temperature)
    u = 0.5 * reach * (THETA + 1)
    inside = ordered[1] + (ordered[2] - ordered[1]) * np.sin(angle) ** 2
    energy = np.concatenate([inside, ordered[2] + u**2])
    weight = np.concatenate([
        np.pi / 4 * WEIGHT * (ordered[2] - ordered[1]) * np.sin(2 * angle), 0.5 * reach * WEIGHT * 2 * u
    ])  # fmt: skip
    k = np.sqrt(2 * (energy[:, None] - energies) + 0j)
    potential = BASIS.conj().T @ POTENTIAL @ BASIS
    t = potential @ np.linalg.inv(k[:, :, None] * np.eye(3) + 1j * potential) * k[:, None, :]
    size = np.abs(t) ** 2 / (k[:, :, None] * k[:, None, :]).real.clip(1e-300)
    size = size * ((k.real > 0)[:, :, None] & (k.real > 0)[:, None, :])
    thermal = np.exp(-(energy[:, None] - energies) / temperature) * weight[:, None]
    rates = 2 / np.pi / np.sqrt(2 * np.pi * temperature) * np.einsum("nl,nkl->kl", thermal, size)
    p = np.exp(-(energies - energies.min()) / temperature)
    p /= p.sum()
    return rates[1, 2] * p[2] - rates[2, 1] * p[1]


def main() -> None:
    """Check, then time in turn, and append a line to results/w5.jsonl."""
    flux, temperature = jnp.linspace(0.0, 3.0, POINTS), jnp.linspace(0.05, 4.0, POINTS)
    start = time.perf_counter()
    data = qdb.sweep(loop_current, progress=False, flux=flux, temperature=temperature)
    total = time.perf_counter() - start
    found = data["loop_current"].values
    rng = np.random.default_rng(0)
    cells = [tuple(rng.integers(0, POINTS, 2)) for _ in range(PEER_POINTS)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        peer = [by_hand(float(flux[i]), float(temperature[j])) for i, j in cells]
        theirs.append((time.perf_counter() - start) / PEER_POINTS)
        seconds = qdb.sweep(loop_current, progress=False, flux=flux, temperature=temperature).attrs["seconds"]
        ours.append(seconds / POINTS**2)
    agreement = max(abs(found[i, j] - value) for (i, j), value in zip(cells, peer, strict=True)) / np.abs(found).max()
    assert agreement < 1e-9, agreement
    line = {
        "workload": "w5", "points": POINTS**2, "seconds_with_compilation": round(total, 2),
        "compile_seconds": round(data.attrs["compile_seconds"], 2), "microseconds": 1e6 * statistics.median(ours),
        "numpy_microseconds": 1e6 * statistics.median(theirs), "agreement": float(agreement),
        "ratio": statistics.median(theirs) / statistics.median(ours), "points_per_second": 1 / statistics.median(ours),
        "jax": jax.__version__, "device": str(jax.devices()[0]), "cores": os.cpu_count(),
    }  # fmt: skip
    with (pathlib.Path(__file__).parent / "results" / "w5.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line, indent=1))


if __name__ == "__main__":
    main()
