"""The line of one class: who comes before whom.

Law: first who was dispatched before and is back, then by priority, then fairly between tenants (`fair.py`). Low priorities that
have aged get their small share of the dispatches, so that they always move, and one tenant cannot keep others out of a full line.
"""

from collections import OrderedDict

from toque.core.crowd import Crowd
from toque.core.fair import FairLine
from toque.core.journey import Journey
from toque.model.spec import QueueSpec
from toque.model.ticket import Ticket


class ClassLine:
    """`waiting` is everybody by number of ticket in order of arrival, those who are back before."""

    __slots__ = ("_back", "_crowd", "_fair", "_since_low", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[int, Journey] = OrderedDict()
        self._back: OrderedDict[int, Journey] = OrderedDict()
        self._fair: dict[int, FairLine] = {}
        """By priority, the first to be served first; at most one for each priority there is."""
        self._crowd = Crowd()
        self._since_low = 0

    def join(self, journey: Journey) -> None:
        """Wait behind those of the same priority and tenant."""
        ticket = journey.ticket
        fair = self._fair.get(ticket.priority)
        (self._open(ticket.priority) if fair is None else fair).join(journey)
        self._crowd.add(ticket)
        self.waiting[ticket.id] = journey

    def rejoin(self, journey: Journey) -> None:
        """Wait before all others."""
        for line in (self.waiting, self._back):
            line[journey.ticket.id] = journey
            line.move_to_end(journey.ticket.id, last=False)

    def leave(self, journey: Journey) -> None:
        """Wait no more."""
        ticket = journey.ticket
        del self.waiting[ticket.id]
        if self._back.pop(ticket.id, None) is None:
            self._fair[ticket.priority].leave(journey)
            self._crowd.remove(ticket)

    def take(self, spec: QueueSpec, now: float) -> Journey:
        """Remove and return whose turn it is; somebody must wait."""
        if self._back:
            ticket_id, journey = self._back.popitem(last=False)
        else:
            journey = self._turn(spec, now).take()
            ticket_id = journey.ticket.id
            self._crowd.remove(journey.ticket)
        del self.waiting[ticket_id]
        return journey

    def displace(self, ticket: Ticket) -> Journey | None:
        """Remove and return who makes way for one more: the newest of the tenant that has most waiting for its share.

        None where that is the tenant of the newcomer itself, or it would have no fewer than any other.
        """
        tenant = self._crowd.largest_above((self._crowd.count(ticket.tenant) + 1) / ticket.share)
        if tenant is None or tenant == ticket.tenant:
            return None
        lowest_first = [line.newest_of(tenant) for line in reversed(self._fair.values())]
        newest = next(journey for journey in lowest_first if journey is not None)
        self.leave(newest)
        return newest

    def is_crowded_by(self, tenant: str) -> bool:
        """Whether this tenant has most waiting for its share, and others wait too."""
        return self._crowd.tenants > 1 and self._crowd.largest_above(0.0) == tenant

    def _turn(self, spec: QueueSpec, now: float) -> FairLine:
        """Say which priority is next.

        1. all who wait have the same; 2. who waits longest is of the first, or not aged yet: the first; 3. the share of low ones is
        due: that of who waits longest; 4. else the first.
        """
        filled = [line for line in self._fair.values() if line]
        if len(filled) == 1:  # 1
            return filled[0]
        longest = next(iter(self.waiting.values()))
        low = self._fair[longest.ticket.priority]
        if low is filled[0] or now - longest.arrived_at < spec.ageing_s:  # 2
            return filled[0]
        self._since_low += 1
        if self._since_low * spec.low_priority_share_ratio >= 1:  # 3
            self._since_low = 0
            return low
        return filled[0]  # 4

    def _open(self, priority: int) -> FairLine:
        self._fair[priority] = fair = FairLine()
        self._fair = dict(sorted(self._fair.items()))
        return fair
