"""Compiled programs shared by tests: compiling dominates their time, so that many tests feed one batch shape.

A machine is a tuple (hamiltonian, couplings, strengths, cutoffs, temperatures) of arrays of shapes (d, d), (b, d, d),
(b,), (b,), (b,); all baths Ohmic. Everything is traced, so that bad values are flagged and never raise.
"""

import jax
import jax.numpy as jnp
import numpy as np
from golden_cases import array
from reference.machines import ENERGIES
from reference.random_matrices import random_hermitian, with_spectrum

import qdbjax as qdb

CELLS = 24  # machines in one batch; shorter lists are filled up with copies of the last


def generator_of(hamiltonian, couplings, strengths, cutoffs, temperatures):
    """The Davies generator of a machine."""
    baths = [
        qdb.Bath(couplings[n], qdb.Ohmic(strengths[n], cutoffs[n]), temperature=temperatures[n])
        for n in range(couplings.shape[0])
    ]
    return qdb.davies(qdb.System(hamiltonian), baths)


def observe(*machine):
    """All that can be asked of a machine, as a dictionary."""
    generator = generator_of(*machine)
    state = qdb.steady_state(generator)
    return {
        "liouvillian": generator.liouvillian(),
        "rates": generator.rates,
        "energies": generator.spectrum.energies,
        "basis": generator.spectrum.basis,
        "populations": state.populations,
        "rho": state.density_matrix,
        "residual": state.residual,
        "kernel": state.kernel_dimension,
        "status": state.status,
        "heat": qdb.heat_currents(generator, state),
        "micro": qdb.micro_currents(generator, state),
        "entropy": qdb.entropy_production(generator, state),
    }


def answer(hamiltonian, couplings, strengths, cutoffs, temperatures, weight, probe):
    """weight · (heat from the first bath) + Re Tr[probe ρ]."""
    generator = generator_of(hamiltonian, couplings, strengths, cutoffs, temperatures)
    state = qdb.steady_state(generator)
    seen = jnp.real(jnp.sum(probe.T * state.density_matrix))
    return weight * qdb.heat_currents(generator, state)[0] + seen


observe_many = jax.jit(jax.vmap(observe))
gradient_many = jax.jit(jax.vmap(jax.value_and_grad(answer, argnums=(0, 1, 2, 3, 4))))


def tangent(machine, direction):
    """Heat and its derivative in a direction, forward mode."""
    d = machine[0].shape[0]
    return jax.jvp(lambda *leaves: answer(*leaves, jnp.ones(()), jnp.zeros((d, d), complex)), machine, direction)


tangent_many = jax.jit(jax.vmap(tangent))


def machine(hamiltonian, couplings, strengths, cutoffs, temperatures):
    """A machine from anything array-like."""
    couplings = np.asarray(couplings, complex)
    count = len(couplings)
    vectors = [np.broadcast_to(np.asarray(x, float), (count,)) for x in (strengths, cutoffs, temperatures)]
    return np.asarray(hamiltonian, complex), couplings, *vectors


def replaced(system, **changes):
    """The machine with some of its parts changed, by name."""
    names = ("hamiltonian", "couplings", "strengths", "cutoffs", "temperatures")
    return machine(*(changes.get(name, leaf) for name, leaf in zip(names, system, strict=True)))


def three_levels(hot, cold, temperatures=(1.0, 0.4), energies=ENERGIES):
    """The machine of three levels and two baths, each with a coupling of its own."""
    return machine(np.diag(energies), [hot, cold], 0.02, 8.0, temperatures)


def batches(machines):
    """Stacks of CELLS machines, the last one filled up."""
    for start in range(0, len(machines), CELLS):
        part = list(machines[start : start + CELLS])
        part += [part[-1]] * (CELLS - len(part))
        yield tuple(jnp.asarray(np.stack(leaf)) for leaf in zip(*part, strict=True))


def run(program, machines):
    """program of every machine, as one tree of NumPy arrays."""
    parts = [jax.tree.map(np.asarray, program(*batch)) for batch in batches(machines)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(machines)], *parts)


def observed(machines):
    """`observe` of every machine: a list of dictionaries."""
    table = run(observe_many, machines)
    return [{name: column[n] for name, column in table.items()} for n in range(len(machines))]


def gradients(machines, probes=None):
    """Heat from the first bath of every machine and its gradient (reverse mode); with probes, of Re Tr[probe ρ]."""
    if probes is None:
        extended = [(*system, np.array(1.0), np.zeros_like(system[0])) for system in machines]
    else:
        extended = [(*system, np.array(0.0), probe) for system, probe in zip(machines, probes, strict=True)]
    return run(gradient_many, extended)


def tangents(machines, directions):
    """Heat and its derivative in one direction per machine (forward mode)."""
    pairs = [(*left, *right) for left, right in zip(machines, directions, strict=True)]
    return run(lambda *leaves: tangent_many(leaves[:5], leaves[5:]), pairs)


def random_machine(rng, d, baths, energies=None):
    """A machine with Gaussian Hamiltonian (or given energies) and couplings."""
    hamiltonian = random_hermitian(rng, d) if energies is None else with_spectrum(rng, energies)
    couplings = np.stack([random_hermitian(rng, d) for _ in range(baths)])
    strengths, temperatures = rng.uniform(0.01, 0.05, baths), rng.uniform(0.2, 3.0, baths)
    return machine(hamiltonian, couplings, strengths, rng.uniform(3.0, 10.0, baths), temperatures)


def golden_qubit(inputs):
    """Hamiltonian and bath of a case of davies_qubit_ohmic."""
    hamiltonian = np.diag([0.5 * inputs["w0"], -0.5 * inputs["w0"]])
    s = np.cos(inputs["theta"]) * np.diag([1.0, -1.0]) + np.sin(inputs["theta"]) * np.array([[0.0, 1.0], [1.0, 0.0]])
    return hamiltonian, qdb.Bath(s, qdb.Ohmic(inputs["eta"], inputs["wc"]), temperature=inputs["T"])


def golden_degenerate(case):
    """Hamiltonian and bath of a case of davies_degenerate."""
    inputs, name = case["inputs"], case["name"]
    w = inputs["w"]
    if name.startswith("truncated"):
        lower = np.diag(np.sqrt(np.arange(1.0, inputs["N"])), 1)
        hamiltonian, s = np.diag(w * np.arange(float(inputs["N"]))), lower + lower.T
    elif name.startswith("two identical"):
        x, one = np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
        hamiltonian, s = np.diag([w, 0.0, 0.0, -w]), np.kron(x, one) + np.kron(one, x)
    else:
        hamiltonian, s = np.diag([0.0, w, w]), array(inputs["S"]).real
    # Complex zeros keep one dtype for both three-level cases, which then share a compilation.
    return hamiltonian, qdb.Bath(s, qdb.Ohmic(inputs["eta"], inputs["wc"]), temperature=inputs["T"])
