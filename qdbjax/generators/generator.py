"""The generator of a master equation: one data type, however it was made.

Every secular generator is a table of rates plus what happens to coherences; both follow from its jump terms (`jumps`).
"""

import functools as ft

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qdbjax._checks import as_matrix, as_real, check_kind, check_single, is_traced
from qdbjax._repr import html_table, html_text, is_single, number
from qdbjax._status import explain, record
from qdbjax._types import Array, ArrayLike, Matrix, Rates, Scalar, StatusCode, Superoperator
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.block import check_dense, whole_block
from qdbjax.generators.jumps import (
    AbstractJumps,
    Channels,
    PerBath,
    complex_type,
    dressed_hamiltonian,
    jump_superoperator,
)
from qdbjax.numerics.entries import unstack
from qdbjax.numerics.matrix import batched_matmul, dagger, entrywise, largest
from qdbjax.numerics.products import dot
from qdbjax.systems import Spectrum, System


def check_generator(value: object) -> None:
    """Raise TypeError for what is no Generator, such as a Hamiltonian or a Liouvillian, ValueError for a batch."""
    check_kind(value, "generator", Generator, "Make one with davies(system, baths), lindblad(system, jumps) or pauli.")
    assert isinstance(value, Generator)
    check_single(value.spectrum.energies, "generator")


class Generator(eqx.Module):
    """A generator L of a master equation, dρ/dt = L(ρ), as made by `davies`, `lindblad` and the other makers.

    system: the System.
    spectrum: its energies, eigenvectors and Bohr frequencies.
    rates: W (bath, to, from), population transfer in the energy eigenbasis, zero diagonal, inverse time.
    jumps: jump terms by bath and channel, from which coherences follow; `jump_operators` makes operators of them.
    temperatures: T (bath,), energy; NaN for a local-KMS field or where none was given.
    chemical_potentials: μ (bath,), energy; 0 where no particles are exchanged.
    status: flags raised by the input (`explain`).
    names: one label per bath, in the order given.
    """

    system: System
    spectrum: Spectrum
    rates: Rates
    jumps: AbstractJumps
    temperatures: PerBath
    chemical_potentials: PerBath
    status: StatusCode
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        """Number of levels d."""
        return self.rates.shape[-1]

    @property
    def exchanges_particles(self) -> bool:
        """Whether any bath exchanges particles."""
        return self.jumps.exchanges_particles

    @property
    @jit_if_eager
    def total_rates(self) -> Array:
        """Rates summed over baths, (to, from), zero diagonal, inverse time."""
        return ft.reduce(ft.partial(entrywise, jnp.add), unstack(self.rates))

    @property
    @jit_if_eager
    def fastest_rate(self) -> Scalar:
        """Largest rate, inverse time: the unit against which residuals and frequencies are judged."""
        return largest(self.total_rates)

    @property
    @jit_if_eager
    def lamb_shift(self) -> Matrix:
        """H_LS (d, d) in the basis of the Hamiltonian, energy; zero unless the generator was made with it."""
        shift = self.jumps.hamiltonian_shift(self.spectrum)
        if shift is None:
            return jnp.zeros(self.spectrum.basis.shape, complex_type(self.spectrum.basis.dtype))
        return self.spectrum.from_eigenbasis(shift)

    def with_reservoirs(
        self, *, temperatures: ArrayLike | None = None, chemical_potentials: ArrayLike | None = None
    ) -> "Generator":
        """The generator of the same system and couplings with baths at other T and μ.

        temperatures: T (bath,), energy; None leaves them. A local-KMS field keeps its β(ω).
        chemical_potentials: μ (bath,), energy; None leaves them. A bath that exchanges no particles keeps μ = 0.

        Returns a Generator. Raises ValueError for shapes, and for generators of given rates or jump operators, which do
        not tell how they depend on T and μ; unphysical values are flagged.
        """
        given = []
        for value, name in ((temperatures, "temperatures"), (chemical_potentials, "chemical_potentials")):
            present = getattr(self, name)
            value = present if value is None else as_real(value, name).astype(present.dtype)
            if value.shape != present.shape:
                raise ValueError(f"{name} must have shape {present.shape}, one per bath; got {value.shape}.")
            given.append(value)
        return _with_reservoirs(self, *given)

    def apply(self, rho: ArrayLike) -> Matrix:
        """L(ρ), the time derivative of a state.

        rho: any matrix (d, d), in the basis of the Hamiltonian.

        Returns (d, d) complex in the same basis, units of rho times inverse time. Raises ValueError for a wrong shape,
        and above d = 32 where the equation is secular, which would need the dense Liouvillian.
        """
        check_generator(self)
        rho = jnp.asarray(as_matrix(rho, "rho"))
        if rho.shape != (self.dimension, self.dimension):
            raise ValueError(f"rho must have shape {(self.dimension, self.dimension)}; got {rho.shape}.")
        return _apply(self, rho.astype(complex_type(rho.dtype)))

    @jit_if_eager
    def liouvillian(self) -> Matrix:
        """L as a matrix, vec(L(ρ)) = L vec(ρ), with row-major vec, entry m·d + n for ρ_mn.

        Returns (d², d²) complex, inverse time, in the basis of the Hamiltonian. Raises ValueError above d = 32; steady
        states, currents and evolution do not need this matrix.
        """
        check_generator(self)
        check_dense(self.dimension, "the dense Liouvillian")
        return self.spectrum.superoperator_from_eigenbasis(energy_liouvillian(self.spectrum, self.jumps))

    @jit_if_eager
    def dissipators(self) -> Array:
        """The dissipator D_b of each bath as a matrix, L = -i[H + H_LS, ·] + Σ_b D_b.

        Returns (bath, d², d²) complex, inverse time, on row-major vec(ρ) in the basis of the Hamiltonian. Raises
        ValueError above d = 32.
        """
        check_generator(self)
        check_dense(self.dimension, "the dissipators")
        parts = [dissipator_matrix(*pair, self.spectrum) for pair in self.jumps.channels(self.spectrum)]
        return jnp.stack([self.spectrum.superoperator_from_eigenbasis(part) for part in parts])

    def jump_operators(self) -> tuple[np.ndarray, ...]:
        """Lindblad operators K of each bath, D_b(ρ) = Σ_k (K_k ρ K_k† - ½{K_k†K_k, ρ}).

        Returns one NumPy array (k, d, d) a bath, in the basis of the Hamiltonian, roots of rates included (root of
        inverse time). Each operator belongs to one Bohr frequency and has Tr[K_i†K_j] = 0 with every other one.
        Raises TypeError inside jit, grad and vmap (`dissipators` runs there), and ValueError above d = 32.
        *Source:* V. Gorini, A. Kossakowski, E. C. G. Sudarshan, J. Math. Phys. 17, 821 (1976).
        """
        check_generator(self)
        check_dense(self.dimension, "the jump operators")
        if is_traced(self):
            raise TypeError("jump_operators needs concrete numbers: call it outside jit, grad and vmap.")
        basis, label = np.asarray(self.spectrum.basis), np.asarray(self.spectrum.frequency_labels).reshape(-1)
        found = []
        for s, r in self.jumps.channels(self.spectrum):
            operators = lindblad_operators(np.asarray(jump_superoperator(s, r)), label)
            found.append(basis @ operators @ basis.conj().T)
        return tuple(found)

    def __repr__(self) -> str:
        return f"Generator(dimension={self.dimension}, baths={', '.join(self.names)})"

    def _repr_html_(self) -> str:
        if not is_single(self.rates, 3):
            return html_text(self)
        fastest = np.asarray(self.rates).max(axis=(1, 2))
        columns = {"bath": self.names, "temperature": map(number, self.temperatures)}
        if self.exchanges_particles:
            columns["chemical potential"] = map(number, self.chemical_potentials)
        columns["fastest rate"] = (number(rate, 3) for rate in fastest)
        rows = list(zip(*columns.values(), strict=True))
        return html_table(
            f"Generator on {self.dimension} levels", tuple(columns), rows, [("status", explain(self.status))]
        )


@jit_if_eager
def _apply(generator: Generator, rho: Matrix) -> Matrix:
    if generator.spectrum.is_one_level:  # all frequencies are kept together: products of d x d matrices do
        block, framed = whole_block(generator.spectrum, generator.jumps), generator.spectrum.to_eigenbasis(rho)
        even, odd = 0.5 * (framed + dagger(framed)), -0.5j * (framed - dagger(framed))
        return generator.spectrum.from_eigenbasis(block.action(even) + 1j * block.action(odd))
    return dot(generator.liouvillian(), rho.reshape(-1)).reshape(rho.shape)


@jit_if_eager
def assemble(system: System, spectrum: Spectrum, jumps: AbstractJumps, names: tuple[str, ...]) -> Generator:
    """A Generator from its jump terms: rates, status and reservoirs are read from them once."""
    rates, status = jumps.checked_rates(spectrum)
    record(status)  # whatever a sweep reads of it
    temperatures, potentials = (each.astype(rates.dtype) for each in jumps.reservoirs)
    return Generator(system, spectrum, rates, jumps, temperatures, potentials, status, names)


@jit_if_eager
def _with_reservoirs(generator: Generator, temperatures: PerBath, potentials: PerBath) -> Generator:
    jumps = generator.jumps.with_reservoirs(temperatures, potentials)
    return assemble(generator.system, generator.spectrum, jumps, generator.names)


def energy_liouvillian(spectrum: Spectrum, jumps: AbstractJumps) -> Matrix:
    """L as a (d², d²) matrix on row-major vec(ρ) in the energy eigenbasis."""
    hamiltonian = dressed_hamiltonian(spectrum, jumps)
    hamiltonian = hamiltonian.astype(complex_type(hamiltonian.dtype))
    unit = jnp.eye(hamiltonian.shape[0], dtype=hamiltonian.dtype)
    total = -1j * (jnp.kron(hamiltonian, unit) - jnp.kron(unit, hamiltonian.T))
    for pair in jumps.channels(spectrum):
        total = total + dissipator_matrix(*pair, spectrum)
    return total


def dissipator_matrix(operators: Channels, dressed: Channels, spectrum: Spectrum) -> Superoperator:
    """D of one bath as a (d², d²) matrix in the energy eigenbasis, every Bohr frequency included."""
    d = operators.shape[-1]
    dtype = complex_type(operators.dtype)
    s, r = operators.astype(dtype), dressed.astype(dtype)
    label = spectrum.frequency_labels
    equal = (label[:, None, :, None] == label[None, :, None, :]).astype(dtype)  # [n, n', l, l']: l→n as l'→n'
    gain = jump_superoperator(s, r) * equal
    half = jnp.sum(batched_matmul(dagger(s), r), axis=0)
    decay = 0.25 * (half + dagger(half)) * spectrum.same_level.astype(dtype)
    unit = jnp.eye(d, dtype=dtype)
    return gain.reshape(d * d, d * d) - jnp.kron(decay, unit) - jnp.kron(unit, decay.conj())


def lindblad_operators(gain: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Kraus operators K (k, d, d) of the completely positive map ρ ↦ Σ K ρ K†.

    gain: the map as a tensor [n, m, l, k], ρ_lk to its (n, m) entry. label: cluster of each transition (n, l), (d²,).
    The Choi matrix C_(nl),(mk) = Σ K_nl K*_mk couples transitions of one label only; √c times each eigenvector of
    eigenvalue c > 0 is one K. Eigenvalues below 64 d eps of its largest entry are rounding of a matrix of rank < d².
    *Source:* M.-D. Choi, Linear Algebra Appl. 10, 285 (1975).
    """
    d = gain.shape[0]
    choi = gain.transpose(0, 2, 1, 3).reshape(d * d, d * d)  # [(n, l), (m, k)]: Σ K_nl K_mk*
    rounding = 64 * d * np.finfo(choi.dtype).eps * np.abs(choi).max(initial=0.0)
    operators = [np.zeros((0, d, d), choi.dtype)]
    for each in np.unique(label):
        place = np.flatnonzero(label == each)
        weights, vectors = np.linalg.eigh(choi[np.ix_(place, place)])
        for weight, vector in zip(weights[::-1], vectors.T[::-1], strict=True):
            if weight > rounding:
                operator = np.zeros(d * d, choi.dtype)
                operator[place] = np.sqrt(weight) * vector
                operators.append(operator.reshape(1, d, d))
    return np.concatenate(operators)
