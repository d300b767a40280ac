"""W4: four bath parameters of a three-dot ring from heat currents at 16 fluxes, against SciPy on QuTiP and dynamiqs.

Run `python benchmarks/w4_fit.py`; one JSON line per run is appended to benchmarks/results/w4.jsonl. Everyone has the
same task and start, and the data are QuTiP's, from planted parameters. Also: what a derivative costs.
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
import optax
import qutip
import scipy.optimize

import qdbjax as qdb

jax.config.update("jax_enable_x64", True)
dq.set_precision("double")
dq.set_progress_meter(False)

TUNNELING, CUTOFF, STEPS, RATE = 0.5, 10.0, 200, 0.2
SITES = (qdb.site(0, 3), qdb.site(1, 3))
NAMES = ("cold_strength", "hot_strength", "t_cold", "t_hot")
PLANTED = dict(zip(NAMES, (0.01, 0.02, 0.3, 1.2), strict=True))
START = dict(zip(NAMES, (0.02, 0.01, 0.5, 0.8), strict=True))
FLUXES = np.linspace(0.03, 1.47, 16)  # no level crossing, which QuTiP's collapse operators would get wrong


def current(flux, cold_strength, hot_strength, t_cold, t_hot):
    """Heat current from the hot bath, through the public functions alone."""
    hot = qdb.Bath(SITES[0], qdb.Ohmic(hot_strength, CUTOFF), temperature=t_hot, name="hot")
    cold = qdb.Bath(SITES[1], qdb.Ohmic(cold_strength, CUTOFF), temperature=t_cold, name="cold")
    generator = qdb.davies(qdb.models.three_dot_ring(TUNNELING, flux), [hot, cold])
    return qdb.heat_currents(generator, qdb.steady_state(generator))[0]


def hamiltonian(flux, xp=np):
    """The ring's Hamiltonian."""
    hop = TUNNELING * xp.exp(-2j * np.pi * flux / 3)
    back = xp.conj(hop)
    return xp.array([[0, hop, back], [back, 0, hop], [hop, back, 0]])


def noise(frequency, strength, temperature, xp=np):
    """γ(ω), Ohmic with exponential cutoff."""
    safe = xp.where(frequency == 0, 1.0, frequency)
    value = xp.exp(-xp.abs(safe) / CUTOFF) * safe / -xp.expm1(-safe / temperature)
    return 2 * np.pi * strength * xp.where(frequency == 0, temperature, value)


def amplitudes(energies, basis, strengths, temperatures, xp=np):
    """√γ(ω) ⟨to|S|from⟩ of each bath, in the eigenbasis."""
    frequencies = energies[None, :] - energies[:, None]
    return [
        xp.sqrt(noise(frequencies, strength, temperature, xp)) * (basis.conj().T @ site @ basis)
        for site, strength, temperature in zip(SITES, strengths, temperatures, strict=True)
    ]


def with_qutip(flux, cold_strength, hot_strength, t_cold, t_hot):
    """One flux as a QuTiP user writes it: collapse operators from the eigenstates, steadystate, expectation value."""
    h = qutip.Qobj(hamiltonian(flux))
    energies, states = h.eigenstates()
    basis = np.hstack([state.full() for state in states])
    per_bath = []
    for amplitude in amplitudes(energies, basis, (hot_strength, cold_strength), (t_hot, t_cold)):
        jumps = [amplitude[n, m] * states[n] * states[m].dag() for n in range(3) for m in range(3) if n != m]
        per_bath.append([*jumps, qutip.Qobj(basis @ np.diag(np.diag(amplitude)) @ basis.conj().T)])
    rho = qutip.steadystate(h, [operator for operators in per_bath for operator in operators])
    # Tr[H D(ρ)] of the hot bath, as the expectation value of D†(H).
    terms = [c.dag() * h * c - 0.5 * (c.dag() * c * h + h * c.dag() * c) for c in per_bath[0]]
    heat = sum(terms[1:], start=terms[0])
    return qutip.expect(heat, rho)


def with_dynamiqs(flux, values, duration, method):
    """One flux as a dynamiqs user writes it: from the mixed state to stationarity, differentiable."""
    cold_strength, hot_strength, t_cold, t_hot = values
    h = hamiltonian(flux, jnp)
    energies, basis = jnp.linalg.eigh(h)
    jumps = []
    for amplitude in amplitudes(energies, basis, (hot_strength, cold_strength), (t_hot, t_cold), jnp):
        mine = [
            amplitude[n, m] * basis[:, n, None] * basis[:, m].conj()[None, :]
            for n in range(3)
            for m in range(3)
            if n != m
        ]
        jumps.append([*mine, basis @ jnp.diag(jnp.diagonal(amplitude)) @ basis.conj().T])
    result = dq.mesolve(
        h, jumps[0] + jumps[1], jnp.eye(3, dtype=complex) / 3, jnp.stack([0.0, duration]), method=method
    )
    rho = result.final_state.to_jax()
    heat = sum(c @ rho @ c.conj().T - 0.5 * (c.conj().T @ c @ rho + rho @ c.conj().T @ c) for c in jumps[0])
    return jnp.real(jnp.trace(h @ heat))


def misfit(currents, target):
    """What `match` minimises: half the sum of squares, in units of the largest target."""
    return 0.5 * float(np.sum((np.asarray(currents) - target) ** 2)) / np.abs(target).max() ** 2


PARTS = {"trace": "jaxpr_trace_duration", "lower": "to_mlir_module_duration", "compile": "backend_compile_duration"}


class Clock:
    """Seconds of a call, and how JAX spent them: tracing, lowering, compiling."""

    def __init__(self):
        self.events: list[tuple[str, float]] = []
        jax.monitoring.register_event_duration_secs_listener(lambda name, spent, **_: self.events.append((name, spent)))

    def __call__(self, function):
        """Result of function(), wall and processor seconds, and the parts."""
        self.events.clear()
        wall, processor = time.perf_counter(), time.process_time()
        found = function()
        spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        for part, name in PARTS.items():
            spent[part] = sum(seconds for event, seconds in self.events if event.endswith(name))
        spent["programs"] = sum(event.endswith(PARTS["compile"]) for event, _ in self.events)
        return found, spent


def ours(target, clock, rounds):
    """`fit` with Adam and with the default, the first call and later ones."""
    record = {}
    optimizers = {"adam": optax.adam(RATE), "levenberg_marquardt": None}
    for name, optimizer in optimizers.items():
        free = {key: qdb.fitting.positive(value) for key, value in START.items()}

        def run(optimizer=optimizer, free=free):
            match = qdb.fitting.match(target)
            return qdb.fit(current, match, free, over={"flux": FLUXES}, optimizer=optimizer, steps=STEPS)

        jax.clear_caches()
        found, first = clock(run)
        again = [clock(run)[1]["wall"] for _ in range(rounds)]
        record[name] = {
            "misfit": misfit(found.outputs["value"], target),
            "parameters": {key: float(value) for key, value in found.values.items()},
            "verdict": found.verdict,
            "first_call": first,
            "later_call_seconds": statistics.median(again),
        }
    return record


def by_hand(function, target, rounds):
    """Adam written by hand around any model in JAX, one scan; seconds to compile and to run, and where it came to."""
    start, fluxes = jnp.log(jnp.array([START[name] for name in NAMES])), jnp.asarray(FLUXES)
    optimizer, scale = optax.adam(RATE), np.abs(target).max()

    def loss(free):
        currents = jax.vmap(function, in_axes=(0, None))(fluxes, jnp.exp(free))
        return 0.5 * jnp.sum(((currents - target) / scale) ** 2)

    def step(carry, _):
        free, state = carry
        change, state = optimizer.update(jax.grad(loss)(free), state)
        return (free + change, state), None

    def descend(free):
        free, _ = jax.lax.scan(step, (free, optimizer.init(free)), None, length=STEPS)[0]
        return free, loss(free)

    begin = time.perf_counter()
    program = jax.jit(descend).lower(start).compile()
    compiling = time.perf_counter() - begin
    (free, reached), samples = program(start), []
    for _ in range(rounds):
        begin = time.perf_counter()
        jax.block_until_ready(program(start))
        samples.append(time.perf_counter() - begin)
    return {
        "misfit": float(reached),
        "parameters": dict(zip(NAMES, np.exp(free).tolist(), strict=True)),
        "compile_seconds": compiling,
        "seconds": statistics.median(samples),
    }


def peer_scipy(target, wanted):
    """least_squares at its defaults on QuTiP; also the seconds after which it was as good as `wanted`."""
    scale, seen = np.abs(target).max(), []
    begin, processor = time.perf_counter(), time.process_time()

    def residuals(free):
        values = dict(zip(NAMES, np.exp(free), strict=True))
        found = np.array([with_qutip(flux, **values) for flux in FLUXES])
        seen.append((time.perf_counter() - begin, misfit(found, target)))
        return (found - target) / scale

    found = scipy.optimize.least_squares(residuals, np.log([START[name] for name in NAMES]))
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    one = seconds / len(seen)
    return {
        "misfit": float(found.cost),
        "parameters": dict(zip(NAMES, np.exp(found.x).tolist(), strict=True)),
        "seconds": seconds,
        "processor_seconds": processor,
        "seconds_to_misfit_of_adam": next((at for at, value in seen if value <= wanted), None),
        "evaluations": len(seen),
        "seconds_per_evaluation": one,
        # Each step of Adam needs the loss and a finite difference for each parameter.
        "extrapolated_seconds_of_200_finite_difference_steps": STEPS * (1 + len(NAMES)) * one,
    }


def peer_dynamiqs(target, rounds):
    """Adam through dynamiqs evolving to stationarity by matrix exponential, its fastest here; one look by Tsit5."""
    duration = 1000.0  # 27 times the slowest relaxation time or more
    expm = by_hand(lambda flux, p: with_dynamiqs(flux, p, duration, dq.method.Expm()), target, rounds)
    values = jnp.array([PLANTED[name] for name in NAMES])
    tsit = dq.method.Tsit5(max_steps=10**7)
    program = jax.jit(jax.vmap(lambda flux: with_dynamiqs(flux, values, duration, tsit)))
    error = np.abs(np.asarray(program(jnp.asarray(FLUXES))) - target).max() / np.abs(target).max()
    begin = time.perf_counter()
    jax.block_until_ready(program(jnp.asarray(FLUXES)))
    return {"expm": expm, "tsit5_seconds_per_evaluation": time.perf_counter() - begin, "tsit5_agreement": error}


def ring(flux):
    """With the model's own eigenbasis."""
    return qdb.models.three_dot_ring(TUNNELING, flux)


def generic(flux):
    """With an arbitrary 3x3 Hamiltonian."""
    return qdb.System(ring(flux).hamiltonian)


def six(model, coupling):
    """A current as a function of six bath parameters, two of each, and of what the model takes."""

    def heat(parameters, argument):
        strengths, cutoffs, temperatures = parameters
        baths = [
            qdb.Bath(coupling[n], qdb.Ohmic(strengths[n], cutoffs[n]), temperature=temperatures[n], name=f"bath{n}")
            for n in range(2)
        ]
        generator = qdb.davies(model(argument), baths)
        return qdb.heat_currents(generator, qdb.steady_state(generator))[0]

    return heat


def derivative_costs(sizes, rounds):
    """Time of value and gradient over time of the value, 6 bath parameters, both modes."""
    rng, record = np.random.default_rng(0), {}
    for name, points in sizes.items():
        if name in ("ring", "generic"):
            heat, arguments = six(ring if name == "ring" else generic, SITES), rng.uniform(0.02, 0.48, points)
        else:
            spins = int(name.removeprefix("chain_d")).bit_length() - 1
            ends = [qdb.embed(qdb.sigma_x(), n, [2] * spins) for n in (0, spins - 1)]
            heat = six(lambda fields: qdb.models.xxz_chain(fields, 0.5, 0.6), ends)
            arguments = rng.uniform(0.7, 1.3, (points, spins))
        ranges = (0.005, 0.02), (5.0, 15.0), (0.2, 2.0)
        inputs = tuple(jnp.asarray(rng.uniform(*ends, (points, 2))) for ends in ranges), jnp.asarray(arguments)
        record[name] = {"points": points, **_derivative_cost(heat, inputs, rounds)}
        print(name, {key: round(value, 3) for key, value in record[name].items()}, flush=True)
    return record


def _derivative_cost(heat, inputs, rounds):
    def both(parameters, argument):
        slopes, value = jax.jacfwd(lambda p: (heat(p, argument),) * 2, has_aux=True)(parameters)
        return value, slopes

    programs, record = {}, {}
    for mode, function in (("value", heat), ("forward", both), ("reverse", jax.value_and_grad(heat))):
        begin = time.perf_counter()
        programs[mode] = jax.jit(jax.vmap(function)).lower(*inputs).compile()
        record[f"{mode}_compile_seconds"] = time.perf_counter() - begin
    slopes = [np.stack(programs[mode](*inputs)[1]) for mode in ("forward", "reverse")]
    error = np.abs(slopes[0] - slopes[1]).max() / np.abs(slopes[0]).max()
    assert error < 1e-9, f"the two modes differ by {error}: nothing is timed"
    samples = {mode: [] for mode in programs}
    for _ in range(rounds):
        for mode, program in programs.items():
            begin = time.perf_counter()
            jax.block_until_ready(program(*inputs))
            samples[mode].append(time.perf_counter() - begin)
    median = {mode: statistics.median(times) for mode, times in samples.items()}
    record["value_microseconds"] = median["value"] / len(inputs[1]) * 1e6
    return record | {f"{mode}_ratio": median[mode] / median["value"] for mode in ("forward", "reverse")}


def main() -> None:
    """Check agreement, run every peer once, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    clock = Clock()
    target = np.array([with_qutip(flux, **PLANTED) for flux in FLUXES])
    fits = ours(target, clock, options.rounds)
    mine = jax.jit(jax.vmap(lambda flux: current(flux, **PLANTED)))(jnp.asarray(FLUXES))
    agreement = np.abs(np.asarray(mine) - target).max() / np.abs(target).max()
    assert agreement < 1e-10, f"answers disagree by {agreement}"
    scan = by_hand(lambda flux, p: current(flux, *p), target, options.rounds)
    peer = peer_scipy(target, fits["adam"]["misfit"])
    flow = peer_dynamiqs(target, 3)
    assert flow["tsit5_agreement"] < 1e-5, "dynamiqs has not come to rest"
    adam, marquardt = fits["adam"], fits["levenberg_marquardt"]
    steps = peer["extrapolated_seconds_of_200_finite_difference_steps"]
    reached = peer["seconds_to_misfit_of_adam"]
    ratios = {
        "scipy to the misfit of adam / adam, first call": reached and reached / adam["first_call"]["wall"],
        "scipy to the misfit of adam / adam, later call": reached and reached / adam["later_call_seconds"],
        "scipy / levenberg_marquardt, first call": peer["seconds"] / marquardt["first_call"]["wall"],
        "scipy / levenberg_marquardt, later call": peer["seconds"] / marquardt["later_call_seconds"],
        "scipy / levenberg_marquardt, first call, processor seconds": peer["processor_seconds"]
        / marquardt["first_call"]["processor"],
        "200 finite-difference steps (extrapolated) / adam, first call": steps / adam["first_call"]["wall"],
        "200 finite-difference steps (extrapolated) / adam, later call": steps / adam["later_call_seconds"],
        "dynamiqs expm, with compilation / adam, first call": (
            flow["expm"]["compile_seconds"] + flow["expm"]["seconds"]
        )
        / adam["first_call"]["wall"],
        "dynamiqs expm / adam, later call": flow["expm"]["seconds"] / adam["later_call_seconds"],
    }
    record = {
        "workload": "W4",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}",
        "load": os.getloadavg()[0],
        "versions": {"jax": jax.__version__, "qutip": qutip.__version__, "dynamiqs": dq.__version__},
        "agreement": agreement,
        "planted": PLANTED,
        "start": START,
        "fit": fits,
        "adam_by_hand": scan,
        "scipy_qutip": peer,
        "dynamiqs": flow,
        "ratios": ratios,
    }
    print(json.dumps(record, indent=1))
    sizes = {"ring": 10000, "generic": 10000, "chain_d8": 2000, "chain_d32": 100}
    record["derivatives"] = derivative_costs(sizes, options.rounds)
    path = pathlib.Path(__file__).parent / "results" / "w4.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
