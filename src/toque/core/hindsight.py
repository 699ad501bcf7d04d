"""Hindsight: what each of many simple rules would have missed and cost lately, had it been in charge.

A rule keeps at least `floor` replicas and enough for `headroom` times the demand, where what it orders helps one cold start
later. Each is followed through the arrivals as they come, by a fluid model of first come first served.

Law: constant memory; one step costs the same whatever the load; nothing depends on which rule is really in charge.
"""

from collections.abc import Iterator
from math import exp

from toque.core.rounding import replicas_for

MEMORY_S = 7200.0
"""Older arrivals fade with this time constant: long enough to see rare bursts again, short enough for the hours of a day."""
EXACT_FLOORS = 12
"""Above so many replicas floors are about 15 % apart: finer steps would cost time and save nothing."""
HEADROOMS = (1.0, 1.4, 2.0)


class Rule:
    """One rule and its fate: requests in its system, and what it missed and paid (replica-seconds), both fading."""

    __slots__ = ("floor", "headroom", "level", "missed", "paid_s")

    def __init__(self, floor: int, headroom: float) -> None:
        self.floor = floor
        self.headroom = headroom
        self.level = 0.0
        self.missed = 0.0
        self.paid_s = 0.0

    def advance(
        self, arrived: float, slots: int, elapsed_s: float, service: tuple[float, float], limit_s: float
    ) -> float:
        """Let arrivals come evenly for a while; return how many of them wait longer than `limit_s`.

        `service` is the seconds in a slot of an idle replica, and how many more in a full one.

        1. nobody waits: those present leave exponentially, the newcomers too; 2. all slots are busy: the level moves
        evenly, and who finds n before him waits (n - slots) x service / slots.
        """
        before = self.level
        if before + arrived <= slots:  # 1
            service_s = service[0] + service[1] * before / slots
            left = exp(-elapsed_s / service_s)
            self.level = before * left + arrived * service_s / elapsed_s * (1 - left)
            return 0.0
        service_s = service[0] + service[1]  # 2
        after = self.level = max(0.0, before + arrived - slots * elapsed_s / service_s)
        bearable = slots * (1 + limit_s / service_s)
        low, high = min(before, after), max(before, after)
        if high <= bearable:
            return 0.0
        return arrived if low >= bearable else arrived * (high - bearable) / (high - low)


class Hindsight:
    """All rules of one pool, and the arrivals they were tried on."""

    __slots__ = ("_everyone", "_limit_s", "_rules", "_slots", "arrived")

    def __init__(self, slots: int, maximum: int, limit_s: float) -> None:
        self._slots = slots
        self._limit_s = limit_s
        self._rules = {headroom: [Rule(floor, headroom) for floor in floors(maximum)] for headroom in HEADROOMS}
        self._everyone = [rule for rules in self._rules.values() for rule in rules]
        self.arrived = 0.0

    def advance(
        self, arrived: float, demand: tuple[float, float], elapsed_s: float, service: tuple[float, float]
    ) -> None:
        """Follow every rule a step further. `demand` is that which is paid for, and that which has its replicas by now."""
        fade = exp(-elapsed_s / MEMORY_S)
        self.arrived = self.arrived * fade + arrived
        slots, limit_s = self._slots, self._limit_s
        for headroom in HEADROOMS:
            paid, ready = (replicas_for(headroom * level, slots) for level in demand)
            for rule in self._rules[headroom]:
                floor = rule.floor
                missed = rule.advance(arrived, max(floor, ready) * slots, elapsed_s, service, limit_s)
                rule.missed = rule.missed * fade + missed
                rule.paid_s = rule.paid_s * fade + max(floor, paid) * elapsed_s

    def cheapest(self, misses: float) -> Rule:
        """Return the cheapest rule that missed no more than so many, or not much more than the best did."""
        bearable = max(misses, 1.2 * min(rule.missed for rule in self._everyone))
        return min((rule for rule in self._everyone if rule.missed <= bearable), key=lambda rule: rule.paid_s)


def floors(maximum: int) -> Iterator[int]:
    """Yield 1, 2, ... and from `EXACT_FLOORS` on in steps of about 15 %, up to the maximum."""
    floor = 1
    while floor < maximum:
        yield floor
        floor += max(1, int(0.15 * floor)) if floor >= EXACT_FLOORS else 1
    yield maximum
