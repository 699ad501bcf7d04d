"""A lower bound of paid replica time that no policy can beat. Method and proof: docs/explanation/optimum.md.

In short: a request that meets the objective needs at least its work (replica-seconds at the best packing) between its arrival
and its latest end. The replicas that run always do some of that for nothing; earliest deadline first lets them do the most; what
work then expires must be paid for. Requests that may miss the objective are let go, the dearest first.

Law: every step errs on the low side, so the bound is one whatever the policy, the router or the cold start.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf

from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.histogram import Histogram
from toque.sim.objective import Objective


def lower_bound_s(
    arrivals: Iterable[Arrival],
    work_s: Callable[[Arrival], float],
    longest_s: Callable[[Arrival], float],
    minimum: int,
    objective: Objective,
) -> float:
    """Return the replica-seconds that any policy pays at least, if it meets the objective.

    `work_s` is a request's least replica-seconds, `longest_s` the longest it can keep a slot, `minimum` the replicas that
    run always. Batch requests have no objective, so they cost nothing here.
    """
    free = _FreeCapacity(float(minimum))
    works = Histogram()
    last_at = 0.0
    for arrival in arrivals:
        last_at = arrival.at
        if arrival.service_class is ServiceClass.INTERACTIVE:
            work = work_s(arrival)
            works.add(work)
            free.advance(arrival.at)
            free.add(arrival.at + objective.limit_s + longest_s(arrival), work)
    free.advance(inf)
    missed_s = works.largest_s(objective.misses_allowed(works.count))
    return minimum * last_at + max(0.0, free.expired_s - missed_s)


class _FreeCapacity:
    """A server of constant speed that works on the earliest deadline first and drops what expires."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._now = 0.0
        self._work: list[tuple[float, float]] = []
        self.expired_s = 0.0

    def add(self, deadline: float, work: float) -> None:
        """Take work in that may be done until `deadline`."""
        heappush(self._work, (deadline, work))

    def advance(self, until: float) -> None:
        """Work until an instant."""
        now = self._now
        while self._work and now < until:
            deadline, work = heappop(self._work)
            stop = min(deadline, until)
            done = min(work, max(0.0, stop - now) * self._speed)
            if done < work and stop == deadline:
                self.expired_s += work - done
            elif done < work:
                heappush(self._work, (deadline, work - done))
            now = max(now, stop if done < work else now + (done / self._speed if done else 0.0))
        self._now = now if until == inf else max(now, until)
