"""The laws of thermodynamics along a protocol."""

import equinox as eqx
import jax
import jax.numpy as jnp

from qdbjax._checks import as_scalar
from qdbjax._repr import summary
from qdbjax._types import Array, ArrayLike, Float, Inexact, Scalar
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.solvers import Account, Evolution
from qdbjax.solvers.evolution import Times
from qdbjax.states.entropy import von_neumann_entropy

States = Inexact[Array, "time d d"]


class SecondLaw(eqx.Module):
    """Both laws at every saved time, counted from the first; see `second_law`.

    times: t (time,), inverse energy.
    energy: ⟨H⟩ at each time, (time,).
    entropy: S at each time, (time,), nats.
    heat: received from each bath since the first time, (time, bath).
    work, chemical_work: received since the first time, (time,).
    entropy_produced: Σ >= 0 since the first time, (time,), nats.
    free_energy: F = ⟨H⟩ - T S at each time, (time,); None without a temperature.
    dissipated_work: W_diss since the first time, (time,); None without a temperature.
    """

    times: Times
    energy: Times
    entropy: Times
    heat: Float[Array, "time bath"]
    work: Times
    chemical_work: Times
    entropy_produced: Times
    free_energy: Times | None
    dissipated_work: Times | None

    def __repr__(self) -> str:
        fields = {
            "times": lambda: f"{float(self.times[0]):g} … {float(self.times[-1]):g}",
            "heat": lambda: self.heat[-1],
            "work": lambda: self.work[-1],
            "entropy produced": lambda: self.entropy_produced[-1],
        }
        lost = self.dissipated_work
        if lost is not None:
            fields["dissipated work"] = lambda: lost[-1]
        return summary(self, self.energy, fields, rank=1)


def second_law(evolution: Evolution, *, temperature: ArrayLike | None = None) -> SecondLaw:
    """Energy, entropy and dissipated work along a driven evolution.

    Δ⟨H⟩ = W + W_chem + Σ_b Q_b,   Σ = ΔS - Σ_b ∫J^Q_b/T_b dt >= 0,   W_diss = W + W_chem - ΔF,   F = ⟨H⟩ - T S

    Heat, work and entropy flow were integrated with the state (`Evolution.account`), to its tolerances. With one
    temperature T throughout W_diss = T Σ, whatever the state; slow driving dissipates in proportion to its speed, and
    W → ΔF.

    evolution: of a protocol, with its density matrices.
    temperature: T >= 0 of the bath that F refers to, energy; by default no F.

    Returns a SecondLaw, arrays (time,), heat (time, bath), positive into the system, zero at the first saved time. Σ is
    NaN from the first time on at which a bath has no temperature above 0. Raises ValueError for an evolution under a
    constant generator or without density matrices, and for a negative temperature.
    *Source:* R. Alicki, J. Phys. A 12, L103 (1979).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> drive = lambda time: qdb.davies(qdb.models.qubit(1.0 + 0.01 * time), [hot, cold])
    >>> run = qdb.evolve(drive, [0.0, 1.0], jnp.linspace(0.0, 50.0, 3))
    >>> law = qdb.thermodynamics.second_law(run)
    >>> bool((law.entropy_produced >= 0).all())
    True
    """
    if evolution.account is None:
        raise ValueError(
            "second_law needs a driven evolution: give evolve a protocol, `lambda time: generator` if it is constant."
        )
    if evolution.density_matrix is None:
        raise ValueError('second_law needs the states: evolve with save="density_matrix".')
    if temperature is not None:
        temperature = as_scalar(temperature, "temperature", low=0)
    return _second_law(evolution.times, evolution.density_matrix, evolution.account, temperature)


@jit_if_eager
def _second_law(times: Times, states: States, account: Account, temperature: Scalar | None) -> SecondLaw:
    entropy = jax.vmap(von_neumann_entropy)(states)
    heat, flow, work, chemical = (
        x - x[:1] for x in (account.heat, account.entropy_flow, account.work, account.chemical_work)
    )
    produced = entropy - entropy[:1] - jnp.sum(flow, axis=1)
    free = dissipated = None
    if temperature is not None:
        free = account.energy - temperature.astype(entropy.dtype) * entropy
        dissipated = work + chemical - (free - free[:1])
    return SecondLaw(times, account.energy, entropy, heat, work, chemical, produced, free, dissipated)
