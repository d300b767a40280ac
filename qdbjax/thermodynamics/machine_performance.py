"""What a machine does with its baths: engine, refrigerator, rectifier, transistor."""

import enum

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from qdbjax._repr import summary
from qdbjax._status import explain
from qdbjax._types import Array, Bool, Int, Scalar, StatusCode
from qdbjax.compilation.eager import jit_if_eager
from qdbjax.generators.generator import Generator, check_generator
from qdbjax.generators.jumps import PerBath
from qdbjax.solvers.stationary import state_of, steady_state
from qdbjax.states.state import State, StateLike
from qdbjax.thermodynamics.counters import bath_index
from qdbjax.thermodynamics.currents import (
    energy_currents_of,
    gross_currents,
    heat_currents_of,
    zero_below_rounding,
)

Name = str | int
AT_REST = 1e-6  # part of what comes and goes that the energy of a machine may change by for its entropy to be judged


class Mode(enum.IntEnum):
    """What a machine does with heat and work; `Performance.operation` gives the word.

    UNDEFINED: -1, a NaN among currents or temperatures.
    IDLE: 0, no heat, no power.
    CONDUCTION: 1, heat flows, nothing is gained.
    ENGINE: 2, gives power.
    REFRIGERATOR: 3, takes power, draws heat from the cold bath.
    HEAT_PUMP: 4, takes power, lifts heat from the room to the hot bath.
    ACCELERATOR: 5, takes power to move heat that would flow by itself.
    HEATER: 6, takes power and heats every bath.
    ABSORPTION_REFRIGERATOR: 7, draws heat from the cold bath, driven by heat from the hot one.
    HEAT_TRANSFORMER: 8, lifts heat from the room to the hot bath, driven by what falls to the cold one.
    AGAINST_THE_SECOND_LAW: 9, entropy decreases: the rates are not those of baths at these temperatures.
    """

    UNDEFINED = -1
    IDLE = 0
    CONDUCTION = 1
    ENGINE = 2
    REFRIGERATOR = 3
    HEAT_PUMP = 4
    ACCELERATOR = 5
    HEATER = 6
    ABSORPTION_REFRIGERATOR = 7
    HEAT_TRANSFORMER = 8
    AGAINST_THE_SECOND_LAW = 9


class Performance(eqx.Module):
    """How a machine performs; see `performance`.

    heat_currents: (bath,), positive into the system.
    power: work per time that the machine delivers, negative where it consumes work.
    efficiency, carnot_efficiency: η of an engine and its bound.
    coefficient, carnot_coefficient: COP of a refrigerator and its bound.
    mode: a `Mode` as an integer, so that a batch of it is an array; `operation` in words.
    names: labels of the baths.
    """

    heat_currents: PerBath
    power: Scalar
    efficiency: Scalar
    carnot_efficiency: Scalar
    coefficient: Scalar
    carnot_coefficient: Scalar
    mode: Int[Array, ""]
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def operation(self) -> str | np.ndarray:
        """The mode in words; an array of words for a batch."""
        word = np.vectorize(lambda code: str(Mode(code).name).lower().replace("_", " "), otypes=[object])
        words = word(np.asarray(self.mode))
        return words if words.ndim else str(words[()])

    def __repr__(self) -> str:
        fields = {
            "operation": lambda: self.operation,
            **{f"heat {name}": lambda n=n: self.heat_currents[n] for n, name in enumerate(self.names)},
            "power": self.power,
            "efficiency": lambda: f"{float(self.efficiency):.6g} of {float(self.carnot_efficiency):.6g}",
            "coefficient": lambda: f"{float(self.coefficient):.6g} of {float(self.carnot_coefficient):.6g}",
        }
        return summary(self, self.mode, fields, known={"baths": ", ".join(self.names)})


def performance(
    generator: Generator,
    state: StateLike | None = None,
    *,
    cold: Name | None = None,
    hot: Name | None = None,
    work: Name | tuple[Name, ...] = (),
) -> Performance:
    """What a machine between any number of baths achieves, and the bound that the second law sets.

    P = -Σ_thermal μ_b J^N_b - Σ_work J^E_b
    η = P/Σ_thermal max(J^Q_b, 0) <= 1 - T_min/T_max
    COP = J^Q_cold/(J^Q_hot - P) <= (1 - T_r/T_h) T_c/(T_r - T_c)

    In a stationary state P = Σ_thermal J^Q_b; driven by power, COP <= T_c/(T_r - T_c).

    Every bath has one role. Work reservoirs are so hot that their energy brings no entropy (the bounds are exact in
    that limit); all others are thermal. Of these one is cold, one hot, and the rest are the room, T_r its coldest. With
    two thermal baths the hot one is the room too, and its heat does not drive: COP = J^Q_cold/(-P).

    generator: of any kind, with at least two thermal baths.
    state: as for `heat_currents`; by default the stationary one.
    cold: name or number of the bath to be cooled; by default the coldest thermal one.
    hot: name or number of the bath that drives; by default the hottest of the other thermal ones.
    work: name or number of the work reservoir, or several of them; by default none.

    Returns a Performance, heat currents positive into the system, power positive out of it. Both ratios stay ratios
    where the machine runs backwards (negative efficiency, COP above its bound): see `mode`. They are NaN where nothing
    drives, and where the state is flagged; the bound of the COP is inf where the cold bath is not colder than the room.
    With four or more thermal baths that bound holds where the room only takes heat. Raises ValueError for an unknown
    bath, one with two roles, or fewer than two thermal ones.
    *Source:* A. Levy and R. Kosloff, Phys. Rev. Lett. 108, 070604 (2012), for heat-driven cooling; H. B. Callen,
    Thermodynamics (2nd edition, 1985), chapter 4.

    >>> system, baths = qdb.models.three_level_maser([0.0, 1.0, 3.0], [4.0, 1.0, 50.0])
    >>> reached = qdb.thermodynamics.performance(qdb.davies(system, baths), work=2)
    >>> round(float(reached.efficiency), 4)
    0.3333
    """
    check_generator(generator)
    given = (work,) if isinstance(work, str | int) else tuple(work)
    works = tuple(bath_index(generator, each, "work") for each in given)
    cold, hot = (
        None if bath is None else bath_index(generator, bath, name) for bath, name in ((cold, "cold"), (hot, "hot"))
    )
    roles = [*works, *(each for each in (cold, hot) if each is not None)]
    if len(set(roles)) < len(roles):
        raise ValueError(f"a bath has one role; got work={works}, cold={cold}, hot={hot}.")
    if len(generator.names) - len(works) < 2:
        raise ValueError(
            f"performance needs two thermal baths; the generator has {', '.join(generator.names)}, work={works}."
        )
    return _performance(generator, state_of(generator, state), cold, hot, works)


class _Roles(eqx.Module):
    """One-hot masks (bath,) of the thermal baths and their roles, and T of cold, hot and room."""

    thermal: np.ndarray
    cold: Bool[Array, " bath"]
    hot: Bool[Array, " bath"]
    room: Bool[Array, " bath"]
    temperatures: tuple[Scalar, Scalar, Scalar]
    has_room: bool = eqx.field(static=True)


def _roles(temperatures: PerBath, cold: int | None, hot: int | None, works: tuple[int, ...]) -> _Roles:
    place = np.arange(temperatures.shape[0])
    thermal = ~np.isin(place, works)
    free = thermal if hot is None else thermal & (place != hot)
    coldest = place == cold if cold is not None else place == jnp.argmin(jnp.where(free, temperatures, jnp.inf))
    rest = thermal & ~coldest
    hottest = place == hot if hot is not None else place == jnp.argmax(jnp.where(rest, temperatures, -jnp.inf))
    room = rest & ~hottest
    has_room = int(thermal.sum()) > 2
    temperature_of = lambda mask: jnp.sum(jnp.where(mask, temperatures, 0.0))  # noqa: E731
    room_temperature = jnp.min(jnp.where(room, temperatures, jnp.inf)) if has_room else temperature_of(hottest)
    return _Roles(
        thermal, coldest, hottest, room, (temperature_of(coldest), temperature_of(hottest), room_temperature), has_room
    )


def _ratio(x: Scalar, y: Scalar) -> Scalar:
    return jnp.where(y == 0, jnp.nan, x / jnp.where(y == 0, 1.0, y))


def _bounds(roles: _Roles, temperatures: PerBath, powered: Bool[Array, ""]) -> tuple[Scalar, Scalar]:
    """1 - T_min/T_max of the thermal baths, and the largest COP; powered: whether the machine consumes work."""
    cold, hot, room = roles.temperatures
    highest = jnp.max(jnp.where(roles.thermal, temperatures, -jnp.inf))
    lowest = jnp.min(jnp.where(roles.thermal, temperatures, jnp.inf))
    lifts = cold < room
    lift = cold / jnp.where(lifts, room - cold, 1.0)
    if roles.has_room:
        warm = hot > room
        lift = lift * jnp.where(powered, 1.0, jnp.where(warm, 1 - room / jnp.where(warm, hot, 1.0), 0.0))
    return 1 - _ratio(lowest, highest), jnp.where(jnp.isnan(cold + room), jnp.nan, jnp.where(lifts, lift, jnp.inf))


def _decreases_entropy(temperatures: PerBath, energy: PerBath, heat: PerBath, gross: PerBath) -> Bool[Array, ""]:
    """Whether a machine at rest takes more entropy from its baths than it gives back, Σ J^Q_b/T_b > 0."""
    inverse = jnp.where(temperatures > 0, 1 / jnp.where(temperatures > 0, temperatures, 1.0), 0.0)
    at_rest = jnp.abs(jnp.sum(energy)) <= AT_REST * jnp.sum(gross)
    return at_rest & (zero_below_rounding(jnp.sum(heat * inverse), jnp.sum(gross * inverse)) > 0)


def _mode(roles: _Roles, heat: PerBath, power: Scalar, decreases_entropy: Bool[Array, ""]) -> Int[Array, ""]:
    cold, hot, room = roles.temperatures
    heat_from = lambda mask: jnp.sum(jnp.where(mask, heat, 0.0))  # noqa: E731
    from_cold, from_hot, from_room = heat_from(roles.cold), heat_from(roles.hot), heat_from(roles.room)
    cooling = (from_cold > 0) & (cold < room)
    pumping = (from_hot < 0) & (from_room > 0) & (hot > room)
    supplied = jnp.any(jnp.where(roles.thermal, heat, 0.0) > 0)
    consumed = power < 0
    choices = [
        (jnp.isnan(heat_from(roles.thermal) + power + cold + hot + room), Mode.UNDEFINED),
        (decreases_entropy, Mode.AGAINST_THE_SECOND_LAW),
        (power > 0, Mode.ENGINE),
        (consumed & cooling, Mode.REFRIGERATOR),
        (consumed & pumping, Mode.HEAT_PUMP),
        (consumed & supplied, Mode.ACCELERATOR),
        (consumed, Mode.HEATER),
        (cooling & (from_hot > 0) & roles.has_room, Mode.ABSORPTION_REFRIGERATOR),
        (pumping & (from_cold < 0), Mode.HEAT_TRANSFORMER),
        (jnp.any(jnp.where(roles.thermal, heat, 0.0) != 0), Mode.CONDUCTION),
    ]
    conditions, modes = zip(*choices, strict=True)
    return jnp.select(conditions, [jnp.int32(int(mode)) for mode in modes], jnp.int32(int(Mode.IDLE)))


@jit_if_eager
def _performance(
    generator: Generator,
    state: State,
    cold: int | None,
    hot: int | None,
    works: tuple[int, ...],
) -> Performance:
    heat, gross, temperatures = (
        heat_currents_of(generator, state),
        gross_currents(generator, state),
        generator.temperatures,
    )
    energy = energy_currents_of(generator, state) if generator.exchanges_particles else heat
    roles = _roles(temperatures, cold, hot, works)
    # A thermal bath gives μJ^N as work, a work reservoir all its energy.
    power = jnp.sum(jnp.where(roles.thermal, heat - energy, -energy))
    total_gross = jnp.sum(gross)
    flow, delivered = zero_below_rounding(heat, gross), zero_below_rounding(power, total_gross)
    supplied = jnp.sum(jnp.where(roles.thermal, jnp.maximum(flow, 0.0), 0.0))
    drawn = jnp.sum(jnp.where(roles.cold, flow, 0.0))
    driving = jnp.sum(jnp.where(roles.hot, flow, 0.0)) - delivered if roles.has_room else -delivered
    carnot, largest = _bounds(roles, temperatures, delivered < 0)
    return Performance(
        heat,
        power,
        _ratio(delivered, supplied),
        carnot,
        _ratio(drawn, zero_below_rounding(driving, total_gross)),
        largest,
        _mode(roles, flow, delivered, _decreases_entropy(temperatures, energy, heat, gross)),
        generator.names,
    )


class Rectification(eqx.Module):
    """How well a machine rectifies heat; see `rectification`.

    coefficient: R.
    forward, backward: heat currents (bath,) into the system, with the temperatures as they are and exchanged.
    status: flags of the two stationary states (`explain`).
    """

    coefficient: Scalar
    forward: PerBath
    backward: PerBath
    status: StatusCode

    def __repr__(self) -> str:
        fields = {"coefficient": self.coefficient, "forward": self.forward, "backward": self.backward}
        return summary(self, self.coefficient, {**fields, "status": lambda: explain(self.status)})


def rectification(generator: Generator, between: tuple[Name, Name] = (0, 1)) -> Rectification:
    """How much better heat passes between two baths one way than the other.

    R = |J_f + J_b|/max(|J_f|, |J_b|), J_f the heat from the first bath in the stationary state, J_b the same with the
    two temperatures exchanged. 0: symmetric; 1: a diode. In [0, 1] wherever J_f and J_b have opposite signs.

    generator: of any kind.
    between: names or numbers of the two baths.

    Returns a Rectification; R is NaN where neither direction carries heat, as at equal temperatures. Raises ValueError
    for an unknown bath or one named twice.
    *Source:* T. Werlang, M. A. Marchiori, M. F. Cornelio, D. Valente, Phys. Rev. E 89, 062109 (2014).

    >>> system, baths = qdb.models.heat_rectifier([1.0, 0.5], 0.2, [1.0, 0.5])
    >>> round(float(qdb.thermodynamics.rectification(qdb.davies(system, baths)).coefficient), 4)
    0.2885
    """
    first, second = (bath_index(generator, bath, "between") for bath in between)
    if first == second:
        raise ValueError(f"between must name two different baths; got {between!r}.")
    return _rectification(generator, first, second)


@jit_if_eager
def _rectification(generator: Generator, first: int, second: int) -> Rectification:
    order = np.arange(len(generator.names))
    order[[first, second]] = second, first

    def carried(temperatures):
        varied = generator.with_reservoirs(temperatures=temperatures)
        found = steady_state(varied)
        state = state_of(varied, found)
        heat = heat_currents_of(varied, state)
        return heat, zero_below_rounding(heat, gross_currents(varied, state))[first], found.status

    # One program for both directions: compiling is what takes time.
    temperature = generator.temperatures
    heat, through, status = jax.vmap(carried)(jnp.stack([temperature, temperature[order]]))
    coefficient = _ratio(jnp.abs(jnp.sum(through)), jnp.max(jnp.abs(through)))
    return Rectification(coefficient, heat[0], heat[1], status[0] | status[1])


def amplification(generator: Generator, *, control: Name, output: Name) -> Scalar:
    """How much the heat current of one bath changes with that of another, as the temperature of the other one varies.

    α = (∂J^Q_output/∂T_control)/(∂J^Q_control/∂T_control) in the stationary state, by automatic differentiation; a heat
    transistor where |α| > 1.

    generator: of any kind.
    control: name or number of the bath whose temperature varies.
    output: name or number of the bath whose current is read.

    Returns a scalar without unit, both currents positive into the system; NaN where the control's current does not
    change or the state is flagged. Raises ValueError for an unknown bath.
    *Source:* K. Joulain, J. Drevillon, Y. Ezzahri, J. Ordonez-Miranda, Phys. Rev. Lett. 116, 200601 (2016).

    >>> hot, cold = (qdb.Bath(qdb.sigma_x(), qdb.Ohmic(0.01, cutoff=10.0), temperature=T) for T in (1.0, 0.5))
    >>> generator = qdb.davies(qdb.models.qubit(1.0), [hot, cold])
    >>> round(float(qdb.thermodynamics.amplification(generator, control=0, output=1)), 4)
    -1.0
    """
    return _amplification(generator, bath_index(generator, control, "control"), bath_index(generator, output, "output"))


@jit_if_eager
def _amplification(generator: Generator, control: int, output: int) -> Scalar:
    def heat(temperature):
        varied = generator.with_reservoirs(temperatures=generator.temperatures.at[control].set(temperature))
        return heat_currents_of(varied, state_of(varied, None))

    start = generator.temperatures[control]
    slopes = jax.jvp(heat, (start,), (jnp.ones_like(start),))[1]
    return _ratio(slopes[output], slopes[control])
