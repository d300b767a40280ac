"""Which deliberate errors in the kernels the tests notice: python benchmarks/mutations.py [words of a name] …

Each mutation changes one place of a temporary copy of the package and runs a few test files there. It is killed where a
test fails. Results go to results/mutations.jsonl; the exit code is 1 where one survives without a reason. A mutation
whose text is no longer found, or found twice, is an error (`tests/test_mutations.py` looks for that in every run).
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mutations.jsonl"


@dataclasses.dataclass(frozen=True)
class Mutation:
    """An error: in a file of the package, one text in place of another; the tests that should notice.

    equivalent: why no test can, where that is so.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]
    equivalent: str = ""


def _of(file: str, *tests: str):
    """Mutations of one file that the same tests should notice."""

    def made(name: str, text: str, instead: str, *others: str, equivalent: str = "") -> Mutation:
        return Mutation(name, file, text, instead, others or tests, equivalent)

    return made


_bath = _of("baths/bath.py", "tests/baths/test_bath.py", "tests/contracts/test_densities.py")
_exchange = _of("baths/exchange.py", "tests/baths/test_exchange.py")
_correlation = _of("baths/correlation.py", "tests/baths/test_correlation.py")
_lamb = _of("numerics/principal_value.py", "tests/golden_values/test_lamb_shift.py", "tests/baths/test_lamb_shift.py")
_occupation = _of("numerics/occupation.py", "tests/numerics/test_occupation.py")
_markov = _of("numerics/markov.py", "tests/numerics/test_markov.py")
_products = _of("numerics/products.py", "tests/numerics/test_products.py")
_matrix = _of("numerics/matrix.py", "tests/numerics/test_matrix.py")
_entropies = _of("states/entropy.py", "tests/states/test_entropies.py")
_degeneracy = _of("systems/degeneracy.py", "tests/systems/test_degeneracy.py", "tests/golden_values/test_davies.py")
_davies = _of(
    "generators/davies_equation.py",
    "tests/golden_values/test_davies.py",
    "tests/generators/test_davies_equation.py",
    "tests/contracts/test_bad_inputs.py",
)
_generator = _of(
    "generators/generator.py", "tests/generators/test_generator.py", "tests/generators/test_davies_equation.py"
)
_universal = _of("generators/universal_equation.py", "tests/generators/test_universal_equation.py")
_gas = _of(
    "generators/low_density_equation.py",
    "tests/golden_values/test_low_density.py",
    "tests/generators/test_low_density_equation.py",
)
_stationary = _of("solvers/stationary.py", "tests/solvers/test_stationary.py", "tests/contracts/test_bad_inputs.py")
_secular = _of("solvers/secular.py", "tests/solvers/test_secular.py")
_driven = _of("solvers/driven_evolution.py", "tests/solvers/test_breakpoints.py", "tests/solvers/test_driven.py")
_breakpoints = _of("solvers/breakpoints.py", "tests/solvers/test_breakpoints.py")
_currents = _of(
    "thermodynamics/currents.py", "tests/thermodynamics/test_currents.py", "tests/thermodynamics/test_entropy.py"
)
_entropy = _of("thermodynamics/entropy.py", "tests/thermodynamics/test_entropy.py")
_counting = _of("thermodynamics/counting.py", "tests/golden_values/test_counting_values.py")
_response = _of("thermodynamics/response.py", "tests/thermodynamics/test_response.py -m slow")

MUTATIONS = [
    _bath(
        "emission and absorption exchanged",
        "(quanta + down), strength * (quanta + up)",
        "(quanta + up), strength * (quanta + down)",
    ),
    _bath(
        "rates without 2π",
        "strength = 2 * jnp.pi * self.spectral_density.over_frequency(size)\n        # ½",
        "strength = jnp.pi * self.spectral_density.over_frequency(size)\n        # ½",
    ),
    _bath(
        "correlated couplings: sign of the imaginary part",
        "(jnp.sign(frequency) * noise)",
        "(-jnp.sign(frequency) * noise)",
        "tests/baths/test_bath.py",
        "tests/golden_values/test_davies.py",
    ),
    _exchange("D and D† exchanged", "(-1,) * count + (1,) * count", "(1,) * count + (-1,) * count"),
    _exchange(
        "lead: filled for empty",
        "fermi(potential - frequency, temperature)",
        "fermi(frequency - potential, temperature)",
    ),
    _exchange("field: no spontaneous emission", "strength * (occupation + 1)", "strength * occupation"),
    _correlation(
        "correlation in time: sign of what comes of the imaginary part of γ, in Re C",
        "from_real.real - from_imaginary.imag",
        "from_real.real + from_imaginary.imag",
    ),
    _correlation(
        "correlation in time: sign of what comes of the imaginary part of γ, in Im C",
        "from_real.imag + from_imaginary.real",
        "from_real.imag - from_imaginary.real",
    ),
    _lamb(
        "ω → -ω in the principal value",
        "(_finite_or_zero(minus) - _finite_or_zero(plus)",
        "(_finite_or_zero(plus) - _finite_or_zero(minus)",
    ),
    _lamb("half the Lamb shift", "difference * (weight / (2 * jnp.pi))", "difference * (weight / (4 * jnp.pi))"),
    _occupation("n(-ω) = 1 - n(ω)", "-1.0 - occupation", "1.0 - occupation"),
    _occupation("slope of the Bose function at 0", "inner = -0.5 + small", "inner = 0.5 + small"),
    _occupation("slope of the Bose function far away", "decay * (1 - large - decay)", "decay * (1 + large - decay)"),
    _occupation("particles for holes", "jax.nn.sigmoid(-energy / safe)", "jax.nn.sigmoid(energy / safe)"),
    _markov(
        "elimination subtracts",
        "w[i][j] = w[i][j] + w[i][k] * factors[k][j]",
        "w[i][j] = w[i][j] - w[i][k] * factors[k][j]",
    ),
    _markov(
        "elimination of a panel subtracts",
        "rates[:start, :start] + dot(columns, ratios)",
        "rates[:start, :start] - dot(columns, ratios)",
    ),
    _products("large complex products conjugated", "[-jnp.imag(b), ", "[jnp.imag(b), "),
    _products("adjoint without conjugation", "rows = zip(a.conj(), b,", "rows = zip(a, b,"),
    _products("first factor not in memory", "left = jax.lax.optimization_barrier(left)", "left = left + 0"),
    _matrix("NaN is passed over", "jnp.any(jnp.isnan(array)), jnp.nan", "jnp.any(jnp.isnan(array)), 0.0"),
    _matrix("sums of squares leave their range", "enlarged = 1.0 if", "enlarged = 1.0 if True or"),
    _entropies(
        "entropy of NaN is 0",
        "where(values <= floor, 0.0, values), vectors\n",
        "where(values > floor, values, 0.0), vectors\n",
    ),
    _markov("derivative of a ratio", "_ratio(d_rate, outflow) - ratio *", "_ratio(d_rate, outflow) + ratio *"),
    _markov("rates transposed in W x", "w[i][j] * v[j] - w[j][i] * v[i]", "w[j][i] * v[j] - w[i][j] * v[i]"),
    Mutation(
        "a failed solver is not flagged",
        "solvers/stationary.py",
        "negative = (negativity > NEGATIVE[info.bits]) | unknown",
        "negative = negativity > NEGATIVE[info.bits]",
        ("tests/solvers/test_stationary.py",),
    ),
    Mutation(
        "Bohr frequencies of the other sign",
        "systems/spectrum.py",
        "return self.energies[None, :] - self.energies[:, None]",
        "return self.energies[:, None] - self.energies[None, :]",
        ("tests/golden_values/test_davies.py", "tests/generators/test_davies_equation.py"),
    ),
    _degeneracy("levels merged ten times further", "relative = 1e-8 if", "relative = 1e-7 if"),
    _degeneracy("rounding of energies ten times as large", "+ 32 * float(info.eps)", "+ 320 * float(info.eps)"),
    _degeneracy("rounding of energies left out", "+ 32 * float(info.eps)", "+ 0 * float(info.eps)"),
    _degeneracy(
        "frequencies merged a tenth as far",
        "energies[:, None], 2 * tolerance(energies)",
        "energies[:, None], 0.2 * tolerance(energies)",
    ),
    _davies("correlation transposed", '"abnl,bnl,anl->nl"', '"banl,bnl,anl->nl"'),
    _davies(
        "a temperature below 0 is not flagged",
        "unphysical = unphysical | ~(bath.temperature >= 0)",
        "unphysical = unphysical",
    ),
    _davies(
        "divergent noise is not flagged",
        "unphysical = unphysical | jnp.any(divergent_entries(spectrum, bath)[0])",
        "unphysical = unphysical",
    ),
    _davies(
        "rates that are not finite are not flagged",
        "finite = finite & every(jnp.isfinite, rates)",
        "finite = finite & ~every(jnp.isnan, rates)",
    ),
    _davies(
        "Lamb shift of the other sign",
        "return 0.5 * (total + dagger(total)) * same",
        "return -0.5 * (total + dagger(total)) * same",
        "tests/golden_values/test_lamb_shift.py",
    ),
    _davies(
        "Lamb shift of the first bath alone",
        "for bath in self.baths:\n            framed = bath_operators(bath, spectrum).astype(total.dtype)",
        "for bath in self.baths[:1]:\n            framed = bath_operators(bath, spectrum).astype(total.dtype)",
        "tests/golden_values/test_lamb_shift.py",
        "tests/generators/test_davies_equation.py",
    ),
    _generator(
        "the phase turns the other way",
        "total = -1j * (jnp.kron(hamiltonian, unit)",
        "total = 1j * (jnp.kron(hamiltonian, unit)",
    ),
    _generator(
        "a bath left out of L",
        "for pair in jumps.channels(spectrum):\n        total = total +",
        "for pair in jumps.channels(spectrum)[1:]:\n        total = total +",
    ),
    _generator("decay twice as fast", "decay = 0.25 * (half", "decay = 0.5 * (half"),
    _generator(
        "terms between different frequencies kept", "jump_superoperator(s, r) * equal", "jump_superoperator(s, r)"
    ),
    Mutation(
        "imaginary part of the jump terms",
        "generators/jumps.py",
        "imag.append(left_i * right - left * right_i)",
        "imag.append(left_i * right + left * right_i)",
        ("tests/generators/test_jumps.py", "tests/generators/test_generator.py"),
    ),
    Mutation(
        "loss of a charge counted twice",
        "generators/flows.py",
        "change = batched_matmul(charge, batched_matmul(block.dressed, within)) - 0.5 *",
        "change = batched_matmul(charge, batched_matmul(block.dressed, within)) - 1.0 *",
        ("tests/thermodynamics/test_currents.py",),
    ),
    Mutation(
        "particles of the other sign",
        "generators/flows.py",
        "block.by_bath(per_channel * jnp",
        "block.by_bath(-per_channel * jnp",
        ("tests/thermodynamics/test_currents.py",),
    ),
    _universal("anti-Hermitian shift", "return half + half.conj().T", "return half - half.conj().T"),
    _universal(
        "slope of √γ inside a level",
        "root = root + slope * jnp.where",
        "root = root - slope * jnp.where",
        "tests/generators/test_universal_equation.py -m slow",
    ),
    _gas("half the collisions", "factor = 2 * gas.density", "factor = gas.density"),
    _gas(
        "an integral that is not resolved passes",
        "UNRESOLVED = 1e-9",
        "UNRESOLVED = 1e-2",
        "tests/generators/test_energy_panels.py",
    ),
    _gas("collisions transposed", "jnp.transpose(leaving, (2, 1, 0))", "jnp.transpose(leaving, (2, 0, 1))"),
    _gas("forward scattering twice", "weight = 0.5 * gas.density", "weight = 1.0 * gas.density"),
    _secular("near-degenerate ten times too early", "DROPPED = 0.05", "DROPPED = 0.005"),
    _secular("near-degenerate ten times too late", "DROPPED = 0.05", "DROPPED = 0.5"),
    _secular("dropped coherences: gain and loss add", "sum(fed) - sum(losses)", "sum(fed) + sum(losses)"),
    _secular("dropped coherences turn backwards", "-distance / size * weight", "distance / size * weight"),
    _secular("populations answer with the other sign", "0.0, -change / size", "0.0, change / size"),
    _stationary("states that are not unique pass", "(kernel > 1.5) & ~is_fatal", "(kernel > 2.5) & ~is_fatal"),
    _stationary(
        "a cold level that is wide passes",
        "width > part * _coldest(fixed)",
        "width > 10 * part * _coldest(fixed)",
        "tests/solvers/test_cold_and_degenerate.py",
    ),
    _driven(
        "work of a jump of the other sign",
        "energy(pieces.starting, packed) - energy(pieces.ending, packed)",
        "energy(pieces.ending, packed) - energy(pieces.starting, packed)",
    ),
    _driven(
        "no step to a save time: derivatives of the interpolant",
        "passed = jax.vmap(_moved, in_axes=(None, 0, 0, 0))(field, clocks[:-count], exact, passed)",
        "passed = passed",
        "tests/solvers/test_breakpoints.py -m slow",
    ),
    _driven(
        "chemical work of the other sign",
        "jnp.sum(energy - heat))",
        "jnp.sum(heat - energy))",
        "tests/thermodynamics/test_laws.py -m slow",
    ),
    _breakpoints(
        "a breakpoint belongs to the piece that follows", "(points < times[:, None])", "(points <= times[:, None])"
    ),
    _breakpoints(
        "a protocol read on the other side of a jump", "jnp.maximum(ends - margin, middle), ends)", "ends, ends)"
    ),
    Mutation(
        "coherences turn the other way",
        "solvers/evolution.py",
        "cosine * re - sine * im, sine * re + cosine * im",
        "cosine * re + sine * im, sine * re - cosine * im",
        ("tests/solvers/test_evolution.py",),
    ),
    Mutation(
        "correlations turn the other way",
        "solvers/correlations.py",
        "jax.lax.complex(jnp.cos(angles * time), -jnp.sin(angles * time))",
        "jax.lax.complex(jnp.cos(angles * time), jnp.sin(angles * time))",
        ("tests/solvers/test_correlations.py",),
    ),
    _currents(
        "heat with the chemical work",
        "        return energy\n    return energy - generator.chemical_potentials",
        "        return energy\n    return energy + generator.chemical_potentials",
    ),
    _currents("entropy flow of the other sign", "flux = -heat", "flux = heat"),
    _currents(
        "heat from a bath at T = 0 costs infinitely much",
        "jnp.where(heat < 0, jnp.inf, 0.0)",
        "jnp.where(heat > 0, jnp.inf, 0.0)",
    ),
    _entropy(
        "entropy that a bath changes, of the other sign",
        "jnp.stack([-now.expectation(change)",
        "jnp.stack([now.expectation(change)",
    ),
    _counting("cumulants: the resolvent's sign", "states[n] = -_apply(resolvent", "states[n] = _apply(resolvent"),
    _counting("noise: correlations of the other sign", "shot - real - real.T", "shot + real + real.T"),
    _counting(
        "noise: lead and lag exchanged",
        "imaginary.T - imaginary",
        "imaginary - imaginary.T",
        "tests/thermodynamics/test_counting.py -m slow",
    ),
    _response("Kubo: correlations of the other sign", "return -0.5 * integrals", "return 0.5 * integrals"),
    _response("chemical potential of a force of the other sign", "-first / second", "first / second"),
    Mutation(
        "KMS with the potential added",
        "balance/kms.py",
        "expected = jnp.exp(-beta * (frequencies - potential))",
        "expected = jnp.exp(-beta * (frequencies + potential))",
        ("tests/balance/test_kms.py",),
    ),
    Mutation(
        "affinity of the other sign",
        "balance/cycles.py",
        "force = log(forward) - log(backward)",
        "force = log(backward) - log(forward)",
        ("tests/balance/test_cycles.py",),
    ),
    Mutation(
        "Born, Markov and secular hold ten times longer",
        "thermodynamics/validity_check.py",
        "SMALL, LARGE = 0.1, 1.0",
        "SMALL, LARGE = 1.0, 10.0",
        ("tests/thermodynamics/test_validity_check.py",),
    ),
]


def misplaced(root: pathlib.Path = ROOT) -> list[str]:
    """Mutations whose text is not found exactly once in their file."""
    found = []
    for each in MUTATIONS:
        count = (root / "qdbjax" / each.file).read_text().count(each.text)
        if count != 1:
            found.append(f"{each.name}: the text is found {count} times in qdbjax/{each.file}")
    return found


def _run(folder: pathlib.Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """pytest's exit code, and its last lines."""
    words = [word for each in tests for word in each.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-m", "slow or not slow", *words]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, "\n".join(done.stdout.splitlines()[-3:])


def _tried(folder: pathlib.Path, mutation: Mutation) -> dict:
    path, start = folder / "qdbjax" / mutation.file, time.perf_counter()
    right = path.read_text()
    path.write_text(right.replace(mutation.text, mutation.instead))
    try:
        code, words = _run(folder, mutation.tests)
    finally:
        path.write_text(right)
    if code > 2:
        raise SystemExit(f"{mutation.name}: pytest ended with {code}\n{words}")
    outcome = "survived" if code == 0 else "killed"
    seconds = round(time.perf_counter() - start, 1)
    failed = [line for line in words.splitlines() if line.startswith(("FAILED", "ERROR"))]
    by = failed[0].split(" - ")[0].split(" ", 1)[1] if failed else ""
    record = {"mutation": mutation.name, "file": mutation.file, "outcome": outcome, "by": by, "seconds": seconds}
    return {**record, "reason": mutation.equivalent} if mutation.equivalent else record


def main(words: list[str]) -> int:
    """Try all mutations, or those whose names hold one of the words."""
    if lost := misplaced():
        print("\n".join(lost), file=sys.stderr)
        return 2
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    records = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part in ("qdbjax", "tests", "benchmarks", "docs", "examples"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        for tests in sorted({each.tests for each in chosen}):
            code, last = _run(folder, tests)
            if code:
                print(f"{' '.join(tests)} fails without a mutation:\n{last}", file=sys.stderr)
                return 2
        for each in chosen:
            records.append(_tried(folder, each))
            print(records[-1], flush=True)
    if not words:
        RESULTS.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    alive = [record for record in records if record["outcome"] == "survived"]
    unexplained = [record for record in alive if "reason" not in record]
    print(f"{len(records)} mutations, {len(alive)} survived, {len(unexplained)} of them without a reason")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
