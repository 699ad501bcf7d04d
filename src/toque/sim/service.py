"""Service: what becomes of a demand over a changing number of replicas, in closed form between two events.

First come first served; requests spread evenly over the replicas, which slow down as they fill. So one clock of work serves them
all: it runs as fast as the share of busy slots lets it, and a request ends when the clock has gone on by its work.

Law: this is an estimate for planning; whoever plans runs the outcome in the real core.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf

from toque.sim.demand import Demand


@dataclass(slots=True)
class Standing:
    """Where things stand. `ends`: a heap of readings of the clock of work at which requests in a slot end, `clock`: its
    reading. All before `first` have begun, all before `judged` are known to be late or not.
    """

    ends: list[float] = field(default_factory=list)
    clock: float = 0.0
    first: int = 0
    judged: int = 0


@dataclass(slots=True)
class Service:
    """A demand that meets replicas of `slots` slots."""

    demand: Demand
    slots: int
    _paces: dict[int, list[float]] = field(default_factory=dict)

    def pace(self, replicas: int) -> list[float]:
        """Return by busy slots how long a second of work takes: least on replicas with one request each, 1 when full."""
        if replicas not in self._paces:
            alone, room = self.demand.alone, max(1, self.slots - 1)
            shares = (
                (max(0.0, busy / replicas - 1) / room for busy in range(replicas * self.slots + 1))
                if replicas
                else (1.0,)
            )
            self._paces[replicas] = [alone + (1 - alone) * (share if self.slots > 1 else 1.0) for share in shares]
        return self._paces[replicas]

    def serve(self, standing: Standing, replicas: int, begin: float, end: float) -> int:
        """Go on from `begin` to `end` with so many replicas; return how many requests turned out to be late."""
        at, work_s, slack_s = self.demand.at, self.demand.work_s, self.demand.slack_s
        ends, clock, first = standing.ends, standing.clock, standing.first
        pace, room, busy, count = self.pace(replicas), replicas * self.slots, len(ends), len(at)
        now, late = begin, 0
        next_at = at[first] if first < count else inf
        while True:
            free_at = now + (ends[0] - clock) * pace[busy] if busy else inf
            if busy < room and next_at <= free_at:
                if next_at >= end:
                    break
                if next_at > now:
                    clock += (next_at - now) / pace[busy]
                    now = next_at
                elif now - next_at > slack_s[first] and first >= standing.judged:
                    late += 1
                heappush(ends, clock + work_s[first])
                busy += 1
                first += 1
                next_at = at[first] if first < count else inf
            elif free_at < end:
                now, clock = free_at, heappop(ends)
                busy -= 1
            else:
                break
        standing.clock, standing.first = clock + (end - now) / pace[busy], first
        return late + self._overdue(standing, end)

    def _overdue(self, standing: Standing, now: float) -> int:
        """Count those who wait and can no longer be in time."""
        at, slack_s = self.demand.at, self.demand.slack_s
        judged = begun = max(standing.judged, standing.first)
        while judged < len(at) and at[judged] + slack_s[judged] < now:
            judged += 1
        standing.judged = judged
        return judged - begun

    def resized(self, standing: Standing, before: int, after: int) -> tuple[Standing, float]:
        """Return the same standing for another number of replicas, and the seconds that the longest drain takes.

        Those that go take their even share of the requests with them.
        """
        ends = standing.ends.copy()
        drain_s = 0.0
        if after < before and ends:
            ends.sort()
            leaving = max(len(ends) * (before - after) // before, len(ends) - after * self.slots)
            each = len(ends) / leaving if leaving else inf
            gone = {int(number * each) for number in range(leaving)}
            if gone:
                emptying = (self.pace(before)[len(ends)] + self.demand.alone) / 2
                drain_s = (ends[max(gone)] - standing.clock) * emptying
            ends = [end for number, end in enumerate(ends) if number not in gone]
            heapify(ends)
        return Standing(ends, standing.clock, standing.first, standing.judged), drain_s

    def waiting(self, standing: Standing, now: float) -> int:
        """Return how many requests wait."""
        return max(0, bisect_left(self.demand.at, now) - standing.first)

    def left_s(self, standing: Standing, waiting: int) -> float:
        """Return the work not done of the requests in a slot and of so many that wait, in seconds of one slot, roughly."""
        begun_s = sum(standing.ends) - standing.clock * len(standing.ends)
        return begun_s + waiting * self.demand.mean_work_s
