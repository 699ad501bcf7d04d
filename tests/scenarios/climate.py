"""What goes wrong in one schedule, and how often: rates that are all zero in a sound world.

Law: each draw belongs to a thing (a replica, a call) and comes from the seed and that thing's number alone. So taking a
client or a fault out of a schedule changes nothing of what happens to the others, and a failing one can be made small.
"""

import random
from dataclasses import dataclass, fields, replace
from math import inf

from toque.model.ticket import FailureKind


@dataclass(frozen=True)
class Climate:
    """Ratios are chances per start, call or report; `_every_s` are mean times of a replica between two such spells."""

    start_dies_ratio: float = 0.0
    start_hangs_ratio: float = 0.0
    model_invalid_ratio: float = 0.0
    early_death_ratio: float = 0.0
    death_every_s: float = 0.0
    hang_every_s: float = 0.0
    slow_ratio: float = 0.0
    sick_every_s: float = 0.0
    """Answers 5xx for a while."""
    busy_every_s: float = 0.0
    """Answers 429 or 503 for a while."""
    not_sent_ratio: float = 0.0
    lost_ratio: float = 0.0
    invalid_ratio: float = 0.0
    client_leaves_ratio: float = 0.0
    echo_ratio: float = 0.0
    """A report comes a second time, later."""
    timer_late_ratio: float = 0.0

    def without(self, name: str) -> "Climate":
        """The same with one kind of trouble less."""
        return replace(self, **{name: 0.0})

    @property
    def troubles(self) -> list[str]:
        """Names of what goes wrong here at all."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def draw_climate(chance: random.Random) -> Climate:
    """Sound, one kind of trouble, a few, or everything; each mild or harsh."""
    names = [field.name for field in fields(Climate)]
    count = chance.choice([0, 1, 1, 2, 3, 4, 6, len(names)])
    rates = {}
    for name in chance.sample(names, count):
        is_spell = name.endswith("_every_s")
        rates[name] = chance.choice([5.0, 20.0, 100.0]) if is_spell else chance.choice([0.02, 0.1, 0.3, 0.9])
    return Climate(**rates)


def dice(seed: int, thing: str, *numbers: int) -> random.Random:
    """A generator of one thing alone."""
    return random.Random(f"{seed} {thing} {numbers}")


def happens(ratio: float, chance: random.Random) -> bool:
    """Whether it happens this time. Draws even from a ratio of 0, so that the next draw stays the same."""
    return chance.random() < ratio


def spell_in_s(every_s: float, chance: random.Random) -> float:
    """Seconds until the next spell; inf where there are none."""
    drawn = chance.expovariate(1.0)
    return drawn * every_s if every_s else inf


@dataclass(frozen=True)
class Start:
    """How a start goes: `fails` names its failure, if any, after `coming_s`."""

    coming_s: float
    fails: str
    early_death_s: float
    pace: float
    memory_bytes: int


def draw_start(climate: Climate, seed: int, number: int, footprint_bytes: int) -> Start:
    """What becomes of the replica of this number."""
    chance = dice(seed, "start", number)
    fails = ""
    for name in ("model_invalid_ratio", "start_hangs_ratio", "start_dies_ratio"):
        if happens(getattr(climate, name), chance):
            fails = name.removesuffix("_ratio")
    return Start(
        coming_s=chance.choice([0.0, 0.5, 3.0, 10.0, 40.0]) * chance.random(),
        fails=fails,
        early_death_s=chance.random() if happens(climate.early_death_ratio, chance) else inf,
        pace=10.0 if happens(climate.slow_ratio, chance) else 1.0,
        memory_bytes=chance.choice([0, 0, footprint_bytes, footprint_bytes + 1, max(1, footprint_bytes - 1)]),
    )


@dataclass(frozen=True)
class Call:
    """How one call would go on a sound replica: it may still be cut short after `cut_after_s`."""

    cut_after_s: float
    kind: FailureKind


def draw_call(climate: Climate, seed: int, ticket_id: int, attempt: int) -> Call:
    """What becomes of this attempt."""
    chance = dice(seed, "call", ticket_id, attempt)
    if happens(climate.not_sent_ratio, chance):
        return Call(chance.choice([0.0, 0.01]), FailureKind.NOT_SENT)
    if happens(climate.invalid_ratio, chance):
        return Call(chance.random(), FailureKind.INVALID)
    if happens(climate.lost_ratio, chance):
        return Call(chance.random() * 10.0, FailureKind.LOST)
    return Call(inf, FailureKind.LOST)
