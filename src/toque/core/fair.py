"""Fair queueing between tenants: whoever was served the fewest tokens for its share goes next, first come first within a tenant.

Law: while two tenants wait all the time, what they are served, each by its share, differs by less than two of the costliest
requests. Nobody waits while it could be served, a pause saves nothing up, and who has neither a request here nor an
advance is forgotten. Every operation is O(log tenants).

Virtual token counters after "Fairness in Serving Large Language Models" (Sheng et al., OSDI 2024), which are start tags as
in start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), the cost corrected once it is known.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeAlias

from toque.core.journey import Journey

ADVANCES_MAX = 1024
"""Tenants remembered that are ahead of all who wait and have nothing here; further ones lose the memory of the smallest lead."""
SLACK = 64

_Turn: TypeAlias = "tuple[float, int, Tally]"


class Tally:
    """One tenant's tally: `counter` is its virtual token counter, tokens served by its share; `in_flight` are charged and not settled."""

    __slots__ = ("counter", "in_flight", "line", "share", "tenant", "waiting")

    def __init__(self, tenant: str, counter: float, line: "FairLine") -> None:
        self.tenant = tenant
        self.counter = counter
        self.line = line
        self.share = 1.0
        self.in_flight = 0
        self.waiting: OrderedDict[int, Journey] = OrderedDict()

    def settle(self, more: float) -> None:
        """One request in flight ended and took so many tokens more (or less) than it was charged."""
        self.in_flight -= 1
        self.line.correct(self, more)


class FairLine:
    """Those who wait with equal right. True while somebody waits."""

    __slots__ = ("_advances", "_level", "_order", "_tallies", "_turns")

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._turns: list[_Turn] = []
        self._advances: list[_Turn] = []
        self._level = 0.0
        """The highest counter that had the turn: where those begin who come from idleness."""
        self._order = count()

    def __bool__(self) -> bool:
        """Whether somebody waits: the first turn is always true."""
        return bool(self._turns)

    def join(self, journey: Journey) -> None:
        """Wait behind those of the same tenant; one that had nobody waiting is lifted to those who are served now."""
        ticket = journey.ticket
        tally = self._tallies.get(ticket.tenant)
        if tally is None:
            tally = self._tallies[ticket.tenant] = Tally(ticket.tenant, self._level, self)
        tally.share = ticket.share
        if not tally.waiting:
            tally.counter = max(tally.counter, self._level)
            self._line_up(tally)
        tally.waiting[ticket.id] = journey

    def leave(self, journey: Journey) -> None:
        """Wait no more."""
        tally = self._tallies[journey.ticket.tenant]
        del tally.waiting[journey.ticket.id]
        if not tally.waiting:
            self._retire(tally)
        self._drop_stale_turns()

    def take(self) -> Journey:
        """Remove and return whose turn it is, and charge it; somebody must wait."""
        tally = heappop(self._turns)[2]
        _, journey = tally.waiting.popitem(last=False)
        self._level = max(self._level, tally.counter)
        tally.counter += journey.cost_tokens / tally.share
        tally.in_flight += 1
        journey.charged_to = tally
        if tally.waiting:
            self._line_up(tally)
        self._drop_stale_turns()
        if self._advances:
            self._forget_overtaken()
        return journey

    def newest_of(self, tenant: str) -> Journey | None:
        """Return who came last of a tenant, if anybody of it waits."""
        tally = self._tallies.get(tenant)
        return next(reversed(tally.waiting.values())) if tally is not None and tally.waiting else None

    def correct(self, tally: Tally, more: float) -> None:
        """Charge so many tokens more, or give them back, now that a request of this tally has ended."""
        tally.counter += more / tally.share
        if not tally.waiting:
            self._retire(tally)
        elif more:
            self._line_up(tally)
            self._drop_stale_turns()

    def counters(self) -> dict[str, float]:
        """Return the counter of every tenant that is remembered, from the one at the level of who is served now (0)."""
        return {tenant: tally.counter - self._level for tenant, tally in self._tallies.items()}

    def _line_up(self, tally: Tally) -> None:
        """Give a tally its turn by its counter; an entry with another counter is stale from now on."""
        heappush(self._turns, (tally.counter, next(self._order), tally))

    def _drop_stale_turns(self) -> None:
        """Keep the first turn true, and the heap no longer than twice the tenants."""
        turns = self._turns
        while turns and not _is_due(turns[0]):
            heappop(turns)
        if len(turns) > 2 * len(self._tallies) + SLACK:
            waiting = [tally for tally in self._tallies.values() if tally.waiting]
            turns[:] = [(tally.counter, next(self._order), tally) for tally in waiting]
            heapify(turns)

    def _retire(self, tally: Tally) -> None:
        """Nobody of this tenant waits: 1. its cost is not known yet; 2. it is not ahead: forgotten; 3. its lead is remembered."""
        if tally.in_flight:  # 1
            return
        if tally.counter <= self._level:  # 2
            del self._tallies[tally.tenant]
            return
        heappush(self._advances, (tally.counter, next(self._order), tally))  # 3
        if len(self._advances) > ADVANCES_MAX:
            self._forget_next()

    def _forget_overtaken(self) -> None:
        """Forget those whose lead the others have caught up with."""
        while self._advances and self._advances[0][0] <= self._level:
            self._forget_next()

    def _forget_next(self) -> None:
        """Forget the smallest lead, unless its tenant came back meanwhile."""
        counter, _, tally = heappop(self._advances)
        if counter == tally.counter and not (tally.waiting or tally.in_flight):
            self._tallies.pop(tally.tenant, None)


def _is_due(turn: _Turn) -> bool:
    tally = turn[2]
    return bool(tally.waiting) and tally.counter == turn[0]
