"""W1: heat current through a three-dot ring over temperature and flux, against QuTiP and dynamiqs, in one run.

Run `python benchmarks/w1_ring_sweep.py`; one JSON line per run is appended to benchmarks/results/w1.jsonl. What each
number means is in benchmarks/README.md. Answers must agree to 1e-10 of the largest current before anything is timed.
"""

import os

# Several LAPACK calls in one batched program can deadlock on two cores: see "Sharp bits" in the README.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_concurrency_optimized_scheduler=false"

import argparse
import json
import pathlib
import platform
import statistics
import time

import dynamiqs as dq
import jax
import jax.numpy as jnp
import numpy as np
import qutip

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)

TUNNELING, STRENGTH, CUTOFF, T_COLD = 0.5, 0.01, 10.0, 0.2
SITES = (qdb.site(0, 3), qdb.site(1, 3))


def ours(t_hot, flux, generic):
    """Heat current from the hot bath, through the public functions alone."""
    system = qdb.models.three_dot_ring(TUNNELING, flux)
    if generic:
        system = qdb.System(system.hamiltonian)
    hot = qdb.Bath(SITES[0], qdb.Ohmic(STRENGTH, CUTOFF), temperature=t_hot, name="hot")
    cold = qdb.Bath(SITES[1], qdb.Ohmic(STRENGTH, CUTOFF), temperature=T_COLD, name="cold")
    generator = qdb.davies(system, [hot, cold])
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def heat_ring(t_hot, flux):
    """With the model's own eigenbasis."""
    return ours(t_hot, flux, False)


def heat_generic(t_hot, flux):
    """With an arbitrary 3x3 Hamiltonian."""
    return ours(t_hot, flux, True)


def hamiltonian(flux):
    """The ring's Hamiltonian in NumPy."""
    hop = TUNNELING * np.exp(-2j * np.pi * flux / 3)
    back = np.conj(hop)
    return np.array([[0, hop, back], [back, 0, hop], [hop, back, 0]])


def noise(frequency, temperature, xp=np):
    """γ(ω), Ohmic with exponential cutoff."""
    safe = xp.where(frequency == 0, 1.0, frequency)
    value = 2 * np.pi * STRENGTH * xp.exp(-xp.abs(safe) / CUTOFF) * safe / -xp.expm1(-safe / temperature)
    return xp.where(frequency == 0, 2 * np.pi * STRENGTH * temperature, value)


def with_qutip(t_hot, flux):
    """One point as a QuTiP user writes it: collapse operators from the eigenstates, steadystate, expectation value."""
    h = qutip.Qobj(hamiltonian(flux))
    energies, states = h.eigenstates()
    per_bath = []
    for site, temperature in zip(SITES, (t_hot, T_COLD), strict=True):
        coupling = qutip.Qobj(site)
        operators = []
        for n, bra in enumerate(states):
            for m, ket in enumerate(states):
                rate = noise(energies[m] - energies[n], temperature)
                operators.append(np.sqrt(rate) * (bra.dag() * coupling * ket) * bra * ket.dag())
        per_bath.append([operator for operator in operators if operator.norm() > 0])
    # Diagonal operators of one bath share the frequency 0 and act as one.
    for n, operators in enumerate(per_bath):
        dephasing = sum(operator for operator in operators if (operator * h - h * operator).norm() < 1e-9)
        others = [operator for operator in operators if (operator * h - h * operator).norm() >= 1e-9]
        per_bath[n] = [*others, dephasing]
    rho = qutip.steadystate(h, [operator for operators in per_bath for operator in operators])
    heat = sum((c * rho * c.dag() - 0.5 * (c.dag() * c * rho + rho * c.dag() * c) for c in per_bath[0]), 0 * rho)
    return (h * heat).tr().real


def with_dynamiqs(t_hot, flux):
    """One point as a dynamiqs user writes it: jump operators, Liouvillian, linear solve; vmapped over points."""
    hop = TUNNELING * jnp.exp(-2j * jnp.pi * flux / 3)
    back = jnp.conj(hop)
    h = jnp.array([[0, hop, back], [back, 0, hop], [hop, back, 0]])
    energies, basis = jnp.linalg.eigh(h)
    frequencies = energies[None, :] - energies[:, None]
    jumps = []
    for site, temperature in zip(SITES, (t_hot, T_COLD), strict=True):
        s = basis.conj().T @ jnp.asarray(site, complex) @ basis
        amplitude = jnp.sqrt(noise(frequencies, temperature, jnp)) * s
        mine = []
        for n in range(3):
            for m in range(3):
                if n != m:
                    mine.append(amplitude[n, m] * basis[:, n, None] * basis[:, m].conj()[None, :])
        mine.append(basis @ jnp.diag(jnp.diagonal(amplitude)) @ basis.conj().T)
        jumps.append(mine)
    liouvillian = dq.slindbladian(h, jumps[0] + jumps[1])
    matrix = liouvillian.to_jax() if hasattr(liouvillian, "to_jax") else liouvillian
    trace = jnp.eye(3).reshape(-1).astype(complex)
    rho = jnp.linalg.solve(matrix.at[0].set(trace), jnp.zeros(9, complex).at[0].set(1)).reshape(3, 3).T
    heat = sum(c @ rho @ c.conj().T - 0.5 * (c.conj().T @ c @ rho + rho @ c.conj().T @ c) for c in jumps[0])
    return jnp.real(jnp.trace(h @ heat))


def grid(function):
    """Temperature times flux, as `qdbjax.sweep` maps it."""
    return jax.vmap(jax.vmap(function, in_axes=(None, 0)), in_axes=(0, None))


def compiled(function, *arguments):
    """A compiled function and the seconds it took to trace and compile."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - start


def once(program, arguments, repeats=1):
    """Seconds of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(program(*arguments))
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Check agreement, time everything interleaved, print and store medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200, help="points per axis")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--qutip-points", type=int, default=12, help="QuTiP points per round")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    t_hot, flux = jnp.linspace(0.2, 2.0, options.points), jnp.linspace(0.0, 3.0, options.points)
    pairs = [array.reshape(-1) for array in jnp.meshgrid(t_hot, flux, indexing="ij")]
    inner = rng.choice(np.flatnonzero(np.abs((np.asarray(pairs[1]) * 2 + 0.5) % 1 - 0.5) > 0.02), 400, replace=False)
    few = [array[inner] for array in pairs]

    programs, seconds = {}, {}
    for name, function, arguments in (
        ("ring_flat", jax.vmap(heat_ring), pairs),
        ("generic_flat", jax.vmap(heat_generic), pairs),
        ("ring_grid", grid(heat_ring), (t_hot, flux)),
        ("generic_grid", grid(heat_generic), (t_hot, flux)),
        ("ring_gradient", jax.vmap(jax.value_and_grad(heat_ring, (0, 1))), pairs),
        ("generic_gradient", jax.vmap(jax.value_and_grad(heat_generic, (0, 1))), pairs),
        ("dynamiqs", jax.vmap(with_dynamiqs), few),
    ):
        program, spent = compiled(function, *arguments)
        programs[name], seconds[name] = (program, arguments), spent
        print(f"{name:18s} compile {spent:6.2f} s", flush=True)

    ring = np.asarray(programs["ring_flat"][0](*pairs))
    scale = np.abs(ring).max()
    agreement = {
        "generic": np.abs(np.asarray(programs["generic_flat"][0](*pairs)) - ring).max() / scale,
        "grid": np.abs(np.asarray(programs["ring_grid"][0](t_hot, flux)).reshape(-1) - ring).max() / scale,
        "dynamiqs": np.abs(np.asarray(programs["dynamiqs"][0](*few)) - ring[inner]).max() / scale,
        "qutip": max(abs(with_qutip(float(t), float(f)) - ring[i]) for i, t, f in zip(inner[:10], *few, strict=False))
        / scale,
    }
    print("agreement", {name: f"{value:.1e}" for name, value in agreement.items()})
    assert max(agreement.values()) < 1e-10, "answers disagree: nothing is timed"

    samples: dict[str, list[float]] = {name: [] for name in [*programs, "qutip"]}
    for turn in range(options.rounds):
        for name, (program, arguments) in programs.items():
            size = len(inner) if name == "dynamiqs" else ring.size
            samples[name].append(once(program, arguments) / size * 1e6)
        start = time.perf_counter()
        for k in range(options.qutip_points):
            point = (turn * options.qutip_points + k) % len(inner)
            with_qutip(float(few[0][point]), float(few[1][point]))
        samples["qutip"].append((time.perf_counter() - start) / options.qutip_points * 1e6)
    median = {name: statistics.median(values) for name, values in samples.items()}
    ratios = {
        f"{name} / {peer}": median[peer] / median[name]
        for peer in ("qutip", "dynamiqs")
        for name in ("ring_flat", "generic_flat", "ring_grid", "generic_grid")
    }
    for name, value in median.items():
        print(f"{name:18s} {value:12.4f} us a point")
    for name, value in ratios.items():
        print(f"{name:26s} {value:12.0f} x")
    record = {
        "workload": "W1",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}",
        "versions": {"jax": jax.__version__, "qutip": qutip.__version__, "dynamiqs": dq.__version__},
        "points": ring.size,
        "microseconds_per_point": median,
        "ratios": ratios,
        "compile_seconds": seconds,
        "agreement": agreement,
    }
    target = pathlib.Path(__file__).parent / "results" / "w1.jsonl"
    target.parent.mkdir(exist_ok=True)
    with target.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
