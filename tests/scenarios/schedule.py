"""A schedule: the fleet, the clients and the climate of one run, all drawn from one seed.

Law: a schedule is a value. The same seed gives the same one on every machine, and a part of one is one too.
"""

import random
from dataclasses import dataclass
from math import inf

from tests.scenarios.climate import Climate, draw_climate
from tests.scenarios.fleets import NAMES, Reload, draw_fleet, draw_reloads
from toque.model.spec import FleetSpec

CLIENTS_MAX = 120
LONGEST_S = 400.0
"""No client comes later, and no trouble begins later."""


@dataclass(frozen=True)
class Client:
    """One request and who makes it: patience and leaving (if it leaves) are seconds after `at`."""

    number: int
    at: float
    pool: str
    is_batch: bool
    patience_s: float
    leaves_after_s: float
    prefill_s: float
    decode_s: float
    """Work in seconds on a sound replica."""
    may_leave: bool = True
    """Whether it may be answered on another machine."""


@dataclass(frozen=True)
class Gap:
    """Nothing runs for a while, as in a suspended machine; then everything that was due happens at once."""

    at: float
    length_s: float


@dataclass(frozen=True)
class Squeeze:
    """The gateway itself is short of something for a while: `kind` is memory, loop or files. It is measured as it is live."""

    at: float
    length_s: float
    kind: str
    height: float


@dataclass(frozen=True)
class Schedule:
    """One run. `drain_at` is when the whole service is told to end; inf: never."""

    seed: int
    spec: FleetSpec
    clients: tuple[Client, ...]
    climate: Climate
    gaps: tuple[Gap, ...] = ()
    reloads: tuple[Reload, ...] = ()
    squeezes: tuple[Squeeze, ...] = ()
    drain_at: float = inf

    def __str__(self) -> str:
        pools = ", ".join(f"{p.name} ({p.scaling.policy}, {p.slots} slots)" for p in self.spec.pools)
        drain = f"; drain at {self.drain_at:g} s" if self.drain_at < inf else ""
        troubles = ", ".join(self.climate.troubles) or "no trouble"
        return f"{len(self.clients)} clients; {pools}; {troubles}; {len(self.gaps)} gaps, {len(self.reloads)} reloads, {len(self.squeezes)} squeezes{drain}"


def draw_schedule(seed: int) -> Schedule:
    """Everything of this seed."""
    chance = random.Random(seed)
    spec = draw_fleet(chance)
    return Schedule(
        seed=seed,
        spec=spec,
        clients=_clients(chance),
        climate=draw_climate(chance),
        gaps=_gaps(chance),
        reloads=draw_reloads(spec, LONGEST_S, chance),
        squeezes=_squeezes(chance),
        drain_at=chance.uniform(1.0, LONGEST_S) if chance.random() < 0.15 else inf,
    )


# ---- the clients -----------------------------------------------------------------------------------------------------


def _clients(chance: random.Random) -> tuple[Client, ...]:
    """Streams of several shapes beside and after each other; sometimes for a name that no pool has, or not now."""
    instants: list[tuple[float, str, bool]] = []
    for _ in range(chance.randint(1, 5)):
        pool = chance.choice([NAMES[0], *NAMES, "nobody"])
        batch_ratio = chance.choice([0.0, 0.0, 0.5, 1.0])
        instants += [(at, pool, chance.random() < batch_ratio) for at in _stream(chance)]
    if chance.random() < 0.4:  # a job beside them
        begin = chance.uniform(0.0, 60.0)
        instants += [(begin + chance.random() * 60.0, NAMES[0], True) for _ in range(30)]
    instants.sort(key=lambda instant: instant[0])
    return tuple(_client(number, *told, chance) for number, told in enumerate(instants[:CLIENTS_MAX], 1))


def _stream(chance: random.Random) -> list[float]:
    """Instants of one stream.

    1. a steady trickle; 2. a burst at one instant; 3. a square wave; 4. single ones between long silences.
    """
    begin = chance.choice([0.0, 0.0, chance.uniform(0, 60), chance.uniform(0, LONGEST_S / 2)])
    count = chance.choice([5, 20, 50])
    match chance.randint(1, 4):
        case 1:
            rate = chance.choice([0.2, 1.0, 5.0])
            return _kept(_walk(begin, [chance.expovariate(rate) for _ in range(count)]))
        case 2:
            return [begin] * count
        case 3:
            period_s, width = chance.choice([4.0, 15.0, 60.0]), chance.randint(1, 10)
            return _kept([begin + period_s * (n // width) + 0.01 * (n % width) for n in range(count)])
        case _:
            return _kept(_walk(begin, [chance.choice([20.0, 70.0, 130.0]) for _ in range(5)]))


def _walk(at: float, steps_s: list[float]) -> list[float]:
    walked = []
    for step_s in steps_s:
        walked.append(at)
        at += step_s
    return walked


def _kept(instants: list[float]) -> list[float]:
    return [at for at in instants if at < LONGEST_S]


def _client(number: int, at: float, pool: str, is_batch: bool, chance: random.Random) -> Client:
    return Client(
        number=number,
        at=at,
        pool=pool,
        is_batch=is_batch,
        patience_s=chance.choice([20.0, 600.0] if is_batch else [0.0, 3.0, 20.0, 120.0, 120.0, 600.0]),
        leaves_after_s=chance.choice([0.0, 0.3, 5.0, 40.0]),
        prefill_s=chance.choice([0.0, 0.1, 1.0]) * chance.random(),
        decode_s=chance.choice([1.0, 10.0, 30.0] if is_batch else [0.0, 1.0, 10.0]) * chance.random(),
        may_leave=chance.random() < 0.8,
    )


def _gaps(chance: random.Random) -> tuple[Gap, ...]:
    count = chance.choice([0, 0, 0, 1, 2])
    lengths_s = [0.5, 10.0, 3600.0, 8 * 3600.0]
    return tuple(
        sorted((Gap(chance.uniform(0, 200), chance.choice(lengths_s)) for _ in range(count)), key=lambda g: g.at)
    )


def _squeezes(chance: random.Random) -> tuple[Squeeze, ...]:
    count = chance.choice([0, 0, 0, 1, 2])
    return tuple(
        Squeeze(
            at=chance.uniform(0.0, 100.0),
            length_s=chance.choice([1.0, 10.0, 30.0]),
            kind=chance.choice(["memory", "loop", "files"]),
            height=chance.choice([0.5, 0.93, 0.955, 0.97, 1.0]),
        )
        for _ in range(count)
    )
