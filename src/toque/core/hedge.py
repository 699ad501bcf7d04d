"""When a request that takes unusually long is sent to a second replica as well.

Law: only requests that are short and wanted whole are looked at, and each at most once. Where it is off nothing is kept.
"""

from bisect import insort
from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from math import inf

from toque.core.journey import Journey
from toque.model.ticket import Ticket
from toque.model.trust_spec import HedgeSpec

ANSWERS_KEPT = 100
ANSWERS_MIN = 20
"""Of fewer answers nobody knows what is usual; until then nothing is hedged, unless `after_s` says when."""
USUAL = 0.95


class HedgeTimer:
    """Instants at which requests in flight are to be hedged. `next_at` is the first of them (inf: none)."""

    __slots__ = ("_due", "_ordered_s", "_spec", "_took_s", "next_at")

    def __init__(self, spec: HedgeSpec) -> None:
        self._spec = spec
        self._due: list[tuple[float, int, float]] = []
        self._took_s: deque[float] = deque()
        self._ordered_s: list[float] = []
        self.next_at = inf

    def revise(self, spec: HedgeSpec) -> None:
        """Go by other settings from now on."""
        self._spec = spec

    def watch(self, journey: Journey) -> None:
        """A request was sent to its replica: see later whether it still is there."""
        delay_s = self._delay_s() if self._is_short(journey.ticket) else inf
        if delay_s < inf:
            heappush(self._due, (journey.dispatched_at + delay_s, journey.ticket.id, journey.dispatched_at))
            self.next_at = self._due[0][0]

    def learn(self, journey: Journey, now: float) -> None:
        """An answer came: so long they take."""
        if not self._is_short(journey.ticket):
            return
        took_s = now - journey.dispatched_at
        if len(self._took_s) == ANSWERS_KEPT:
            self._ordered_s.remove(self._took_s.popleft())
        self._took_s.append(took_s)
        insort(self._ordered_s, took_s)

    def due(self, journeys: Mapping[int, Journey], now: float) -> list[Journey]:
        """Return the requests that still are where they were sent, and whose time has come."""
        late = []
        while self._due and self._due[0][0] <= now:
            _, ticket_id, dispatched_at = heappop(self._due)
            journey = journeys.get(ticket_id)
            if journey is not None and journey.replica_id is not None and journey.dispatched_at == dispatched_at:
                late.append(journey)
        self.next_at = self._due[0][0] if self._due else inf
        return late

    def _is_short(self, ticket: Ticket) -> bool:
        return self._spec.enabled and 0 < ticket.whole_tokens_max <= self._spec.output_tokens_max

    def _delay_s(self) -> float:
        if self._spec.after_s:
            return self._spec.after_s
        known = self._ordered_s
        return known[int(USUAL * len(known))] if len(known) >= ANSWERS_MIN else inf
