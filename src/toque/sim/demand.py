"""Demand: a workload reduced to what planning needs, and what becomes of it over a changing number of slots.

Law: 24 bytes a request are kept, which is all of the simulator that grows with the length of a workload.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from math import inf

from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.objective import Objective
from toque.sim.profile import Profile

LAST = 1000
"""Requests among which the last one to end is looked for."""


@dataclass(frozen=True, slots=True)
class Demand:
    """By request: arrival, seconds in a slot of a full replica, and the longest wait that meets the objective (inf: any)."""

    at: "array[float]"
    service_s: "array[float]"
    slack_s: "array[float]"

    @staticmethod
    def of(arrivals: Iterable[Arrival], profile: Profile, objective: Objective) -> "Demand":
        """Read a workload once."""
        demand = Demand(array("d"), array("d"), array("d"))
        slack_s = _slack(profile, objective)
        for arrival in arrivals:
            demand.at.append(arrival.at)
            demand.service_s.append(profile.service_s(arrival))
            demand.slack_s.append(slack_s(arrival) if arrival.service_class is ServiceClass.INTERACTIVE else inf)
        return demand

    @property
    def span_s(self) -> float:
        """Time of the last arrival."""
        return self.at[-1] if self.at else 0.0

    def load(self, bin_s: float, speed: float) -> list[float]:
        """Return the average number of busy slots by bins, if nobody waits and service takes `speed` times as long.

        The bins go on until the last requests have ended, even if they wait as long as they may.
        """
        ends = (at + service_s for at, service_s in zip(self.at[-LAST:], self.service_s[-LAST:], strict=True))
        waits = (slack_s for slack_s in self.slack_s[-LAST:] if slack_s < inf)
        busy = [0.0] * (int((max(ends, default=0.0) + max(waits, default=0.0)) / bin_s) + 1)
        for at, service_s in zip(self.at, self.service_s, strict=True):
            _add(busy, at / bin_s, (at + service_s * speed) / bin_s)
        return busy

    def late(self, replicas: Sequence[int], bin_s: float, slots: int, speed: float) -> list[int]:
        """Return the numbers of the requests that wait longer than they may: first come first served.

        `replicas` are ready by bins; slots that go finish what they have, the idle ones go first.
        """
        free_at: list[float] = []
        late: list[int] = []
        changes = _changes(replicas, bin_s, slots)
        change_at, more = next(changes, (inf, 0))
        for number, (at, service_s, slack_s) in enumerate(zip(self.at, self.service_s, self.slack_s, strict=True)):
            while change_at < inf and (change_at <= at or not free_at or change_at <= free_at[0]):
                _resize(free_at, change_at, more)
                change_at, more = next(changes, (inf, 0))
            if not free_at:  # nothing is ever ready again
                late.append(number)
                continue
            start = free_at[0]
            if start < at:
                start = at
            elif start - at > slack_s:
                late.append(number)
            heapreplace(free_at, start + service_s * speed)
        return late


def _slack(profile: Profile, objective: Objective) -> Callable[[Arrival], float]:
    if objective.measure == "queue_wait":
        return lambda arrival: objective.limit_s
    return lambda arrival: objective.limit_s - profile.prefill_s(arrival.prompt_tokens)


def _changes(replicas: Sequence[int], bin_s: float, slots: int) -> Iterator[tuple[float, int]]:
    """Yield the instants at which the number of slots changes, and by how many."""
    before = 0
    for number, now in enumerate(replicas):
        if now != before:
            yield number * bin_s, (now - before) * slots
            before = now


def _resize(free_at: list[float], instant: float, more: int) -> None:
    for _ in range(more):
        heappush(free_at, instant)
    for _ in range(min(-more, len(free_at))):
        heappop(free_at)


def _add(busy: list[float], start: float, end: float) -> None:
    """Add one request to the bins it covers, given in bins; what comes after the last bin is left out."""
    number = int(start)
    while start < end and number < len(busy):
        edge = min(end, number + 1.0)
        busy[number] += edge - start
        start, number = edge, number + 1
