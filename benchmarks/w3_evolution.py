"""W3: evolution of a disordered spin chain with thermal ends, 100 times up to t = 100, against QuTiP's mesolve.

Run `python benchmarks/w3_evolution.py`; one JSON line per run is appended to benchmarks/results/w3.jsonl. Answers must
agree to 1e-5 (mesolve's own tolerance at its default settings) before anything is timed.
"""

import os

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_concurrency_optimized_scheduler=false"

import argparse
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

EXCHANGE, ANISOTROPY, STRENGTH, CUTOFF, T_COLD = 0.5, 0.6, 0.02, 10.0, 0.4
TIMES = np.linspace(0.0, 100.0, 100)


def ends(spins):
    """Couplings of the two baths."""
    return [qdb.embed(qdb.sigma_x(), n, [2] * spins) for n in (0, spins - 1)]


def generator(fields, t_hot, spins):
    """Chain with disordered fields between a hot and a cold bath."""
    baths = [
        qdb.Bath(coupling, qdb.Ohmic(STRENGTH, CUTOFF), temperature=temperature, name=name)
        for coupling, temperature, name in zip(ends(spins), (t_hot, T_COLD), ("hot", "cold"), strict=True)
    ]
    return qdb.davies(qdb.models.xxz_chain(fields, EXCHANGE, ANISOTROPY), baths)


def start(spins):
    """All spins along x + ½z."""
    up = np.array([np.cos(0.5), np.sin(0.5)])
    state = np.ones(1)
    for _ in range(spins):
        state = np.kron(state, up)
    return np.outer(state, state)


def ours(spins, save):
    """The program of one set of parameters."""
    rho0, times = start(spins), TIMES

    def run(fields, t_hot):
        result = qdb.evolve(generator(fields, t_hot, spins), rho0, times, save=save, rtol=1e-8, atol=1e-10)
        return result.populations if save == "populations" else result.density_matrix

    return run


def _timed(problem, jumps, spins):
    begin = time.perf_counter()
    result = qutip.mesolve(problem, qutip.Qobj(start(spins)), TIMES, c_ops=jumps, options={"nsteps": 100000})
    return np.stack([state.full() for state in result.states]), time.perf_counter() - begin


def with_jumps(fields, t_hot, spins):
    """mesolve as its users write it, a Hamiltonian and a list of collapse operators (generic spectrum), ρ(t) stored."""
    made = generator(jnp.asarray(fields), t_hot, spins)
    energies, basis = np.asarray(made.spectrum.energies), np.asarray(made.spectrum.basis)
    operators = []
    for coupling, bath in zip(ends(spins), made.jumps.baths, strict=True):
        framed = basis.conj().T @ coupling @ basis
        rate = np.asarray(bath.noise(jnp.asarray(energies[None, :] - energies[:, None])))
        for n, m in zip(*np.nonzero(~np.eye(len(energies), dtype=bool)), strict=True):
            if abs(framed[n, m]) > 1e-12:
                operators.append(np.sqrt(rate[n, m]) * framed[n, m] * np.outer(basis[:, n], basis[:, m].conj()))
        operators.append(basis @ np.diag(np.sqrt(np.diag(rate)) * np.diag(framed)) @ basis.conj().T)
    return _timed(qutip.Qobj(np.asarray(made.system.hamiltonian)), [qutip.Qobj(each) for each in operators], spins)


def with_liouvillian(fields, t_hot, spins):
    """mesolve at its best: the Liouvillian handed over ready-made (not timed), as one sparse superoperator."""
    made = generator(jnp.asarray(fields), t_hot, spins)
    d = 2**spins
    # Ours acts on row-major vectors, QuTiP's on column-major ones.
    matrix = np.asarray(made.liouvillian()).reshape(d, d, d, d).transpose(1, 0, 3, 2).reshape(d * d, d * d)
    matrix = np.where(np.abs(matrix) > 1e-14, matrix, 0)
    return _timed(qutip.Qobj(matrix, dims=[[[d], [d]], [[d], [d]]]).to("CSR"), None, spins)


PEERS = {"mesolve, jumps": with_jumps, "mesolve, sparse L": with_liouvillian}


def measure(spins, sets, rounds):
    """Medians in milliseconds a set, agreement, and seconds to compile."""
    rng = np.random.default_rng(spins)
    fields = jnp.asarray(rng.uniform(0.7, 1.3, (sets, spins)))
    t_hot = jnp.asarray(rng.uniform(1.0, 2.0, sets))
    programs, seconds, samples = {}, {}, {}
    for save in ("density_matrix", "populations"):
        begin = time.perf_counter()
        programs[save] = jax.jit(jax.vmap(ours(spins, save))).lower(fields, t_hot).compile()
        seconds[save] = time.perf_counter() - begin
        samples[save] = []
    reference, _ = with_liouvillian(fields[0], float(t_hot[0]), spins)
    error = np.abs(np.asarray(programs["density_matrix"](fields, t_hot))[0] - reference).max()
    assert error < 1e-5, f"answers disagree by {error}: nothing is timed"
    samples.update({name: [] for name in PEERS})
    for turn in range(rounds):
        for save, program in programs.items():
            begin = time.perf_counter()
            jax.block_until_ready(program(fields, t_hot))
            samples[save].append((time.perf_counter() - begin) / sets * 1e3)
        for name, peer in PEERS.items():
            if name != "mesolve, jumps" or spins < 4 or turn == 0:  # 17 s each at d = 16
                samples[name].append(peer(fields[turn], float(t_hot[turn]), spins)[1] * 1e3)
    return {name: statistics.median(values) for name, values in samples.items()}, error, seconds


def main() -> None:
    """Both sizes; print and store medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    record = {
        "workload": "W3",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}",
        "versions": {"jax": jax.__version__, "qutip": qutip.__version__},
        "sets": options.sets,
    }
    for spins in (3, 4):
        median, error, seconds = measure(spins, options.sets, options.rounds)
        saves = ("density_matrix", "populations")
        ratios = {f"{save} / {peer}": median[peer] / median[save] for save in saves for peer in PEERS}
        d = 2**spins
        for name, value in median.items():
            print(f"d = {d:2d} {name:34s} {value:10.4f} ms a set")
        for name, value in ratios.items():
            print(f"d = {d:2d} {name:34s} {value:10.0f} x")
        record[f"d{d}"] = {"milliseconds": median, "ratios": ratios, "compile_seconds": seconds, "agreement": error}
    target = pathlib.Path(__file__).parent / "results" / "w3.jsonl"
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
