"""Demand: a workload reduced to what planning needs: when, how much work, and how long it may wait.

Law: 24 bytes a request are kept, which is all of the simulator that grows with the length of a workload.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.objective import Objective
from toque.sim.profile import Profile

LAST = 1000
"""Requests among which the last one to end is looked for."""


@dataclass(frozen=True, slots=True)
class Demand:
    """By request: arrival, work (seconds in a slot of a full replica), and the longest wait that meets the objective (inf:
    any). `alone` is how long they take on a replica that has nothing else, as a share of their work, `mean_work_s` an average.
    """

    at: "array[float]"
    work_s: "array[float]"
    slack_s: "array[float]"
    alone: float
    mean_work_s: float

    @staticmethod
    def of(arrivals: Iterable[Arrival], profile: Profile, objective: Objective) -> "Demand":
        """Read a workload once."""
        at, work_s, slacks_s = array("d"), array("d"), array("d")
        slack_s, alone_s = _slack(profile, objective), 0.0
        for arrival in arrivals:
            at.append(arrival.at)
            work_s.append(profile.service_s(arrival))
            slacks_s.append(slack_s(arrival) if arrival.service_class is ServiceClass.INTERACTIVE else inf)
            alone_s += profile.alone_s(arrival)
        total_s = sum(work_s)
        return Demand(at, work_s, slacks_s, min(1.0, alone_s / total_s) if alone_s else 1.0, total_s / max(1, len(at)))

    @property
    def span_s(self) -> float:
        """Time of the last arrival."""
        return self.at[-1] if self.at else 0.0

    @property
    def end_s(self) -> float:
        """When the last requests have ended at the latest, if none waits longer than it may."""
        ends = (at + work_s for at, work_s in zip(self.at[-LAST:], self.work_s[-LAST:], strict=True))
        return max(ends, default=0.0) + self.longest_wait_s

    @property
    def longest_wait_s(self) -> float:
        """The longest that the last ones may wait; who may wait for ever does not count."""
        return max((slack_s for slack_s in self.slack_s[-LAST:] if 0 < slack_s < inf), default=0.0)

    def strained(self, share: float) -> "Demand":
        """Let everybody wait for this share of what they may."""
        return Demand(
            self.at,
            self.work_s,
            array("d", (share * slack_s for slack_s in self.slack_s)),
            self.alone,
            self.mean_work_s,
        )

    def most_busy(self, bin_s: float, bins: int) -> "array[int]":
        """Return by bins the most slots busy at an arrival or at the beginning, if nobody waits and all replicas are full."""
        most = array("l", [0]) * bins
        ends: list[float] = []
        number = 0
        for at, work_s in zip(self.at, self.work_s, strict=True):
            while number < int(at / bin_s):
                number += 1
                most[number] = _still(ends, number * bin_s)
            most[number] = max(most[number], _still(ends, at) + 1)
            heappush(ends, at + work_s)
        for later in range(number + 1, bins):
            most[later] = _still(ends, later * bin_s)
        return most

    def least_load(self, bin_s: float, bins: int) -> "array[float]":
        """Return by bins the average number of busy slots, if nobody waits and all replicas are as fast as they get."""
        busy = array("d", [0.0]) * bins
        for at, work_s in zip(self.at, self.work_s, strict=True):
            _add(busy, at / bin_s, (at + work_s * self.alone) / bin_s)
        return busy


def _slack(profile: Profile, objective: Objective) -> Callable[[Arrival], float]:
    if objective.measure == "queue_wait":
        return lambda arrival: objective.limit_s
    return lambda arrival: objective.limit_s - profile.prefill_s(arrival.prompt_tokens)


def _still(ends: list[float], now: float) -> int:
    """Forget what has ended by now, and count the rest."""
    while ends and ends[0] <= now:
        heappop(ends)
    return len(ends)


def _add(busy: "array[float]", start: float, end: float) -> None:
    """Add one request to the bins it covers, given in bins; what comes after the last bin is left out."""
    number = int(start)
    while start < end and number < len(busy):
        edge = min(end, number + 1.0)
        busy[number] += edge - start
        start, number = edge, number + 1
