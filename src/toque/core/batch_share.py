"""What batch holds of a pool's slots, whether it may have one more, and who of it gives a slot up.

Law: the reserve is never batch's. Nobody is chosen whose answer has begun to reach its client, who goes by the share of the
aged, or who was put back often enough; and the slot time of the latter is bounded by that share, so that people wait for few.
"""

from collections.abc import Iterator
from math import ceil

from toque.core.journey import Journey
from toque.core.queue import Line
from toque.core.roster import Roster
from toque.model.spec import PoolSpec
from toque.model.ticket import ServiceClass

INTERACTIVE = ServiceClass.INTERACTIVE
SERVICE_S_GUESS = 2.0
"""How long one batch request keeps its slot, before any has ended."""
_WEIGHT = 0.1


class BatchShare:
    """Batch of one pool. `in_flight` is by ticket, in the order of dispatch; `preempted` counts how often one was put back."""

    __slots__ = (
        "_kept",
        "_line",
        "_roster",
        "_saved_at",
        "_saved_s",
        "_service_s",
        "_spec",
        "_yielding",
        "in_flight",
        "preempted",
    )

    def __init__(self, spec: PoolSpec, roster: Roster, line: Line) -> None:
        self._spec = spec
        self._roster = roster
        self._line = line
        self.in_flight: dict[int, Journey] = {}
        self._yielding: dict[int, Journey] = {}
        self._kept: dict[int, float] = {}
        """Who keeps a slot though people may wait -> the seconds set aside for that."""
        self._saved_s = 0.0
        self._saved_at = 0.0
        self._service_s = 0.0
        self.preempted = 0

    def revise(self, spec: PoolSpec) -> None:
        """Go by other settings; who holds a slot under the old ones keeps it as it was."""
        self._spec = spec

    @property
    def reserve(self) -> int:
        """Slots that batch may not hold now; where there is one slot at all, one is left to it."""
        spec, slots = self._spec.batch, self._roster.slots
        return min(max(spec.reserve_min, ceil(spec.reserve_ratio * slots)), max(0, slots - 1))

    def has_room(self) -> bool:
        """Whether batch may take one more slot.

        1. The reserve is kept. 2. While people wait it goes by the share of the aged, so there are no slots to keep free for
        them. 3. Else headroom stays free, of which one slot is left to batch too.
        """
        slots = self._roster.slots
        if len(self.in_flight) >= slots - self.reserve:  # 1
            return False
        if self._line.length(INTERACTIVE):  # 2
            return True
        headroom = self._spec.batch.headroom
        return not headroom or self._roster.free_slots > min(headroom, slots - 1)  # 3

    def took(self, journey: Journey, now: float) -> None:
        """A batch request has got a slot."""
        self.in_flight[journey.ticket.id] = journey
        if not self._keeps(journey, now):
            self._yielding[journey.ticket.id] = journey

    def left(self, journey: Journey, now: float) -> None:
        """A request has left its slot; one of batch is struck."""
        ticket_id = journey.ticket.id
        if self.in_flight.pop(ticket_id, None) is not None:
            self._yielding.pop(ticket_id, None)
            if ticket_id in self._kept:
                self._saved_s += self._kept.pop(ticket_id) - (now - journey.dispatched_at)

    def finished(self, journey: Journey, now: float) -> None:
        """A batch request was answered: so long they take."""
        took_s = now - journey.dispatched_at
        self._service_s += (_WEIGHT if self._service_s else 1.0) * (took_s - self._service_s)

    def begun(self, ticket_id: int) -> None:
        """Its answer has begun to reach its client: it cannot be put back any more."""
        self._yielding.pop(ticket_id, None)

    @property
    def yields(self) -> bool:
        """Whether anybody might give a slot up."""
        return bool(self._yielding)

    @property
    def yields_now(self) -> bool:
        """Whether anybody might whose slot can be used; that of others is looked at again when their replica changes."""
        return next(self._last_first(), None) is not None

    def youngest(self, now: float, *, spares: bool) -> Journey | None:
        """Return who loses least by giving its slot up for one that can be used; None where nobody can.

        With `spares` nobody is taken who will end within the patience anyway, as far as is known.
        """
        patience_s = self._spec.batch.preempt_patience_s if spares and self._service_s else -1.0
        for journey in self._last_first():
            left_s = self._service_s - (now - journey.dispatched_at)
            if not 0 <= left_s <= patience_s:
                return journey
        return None

    def yielding(self, replica_id: int) -> list[Journey]:
        """Return the requests on a replica that may be put back."""
        return [journey for journey in self._yielding.values() if journey.replica_id == replica_id]

    def _last_first(self) -> Iterator[Journey]:
        for journey in reversed(self._yielding.values()):
            replica = self._roster.replicas.get(journey.replica_id or -1)
            if replica is not None and replica.is_routable:
                yield journey

    def _keeps(self, journey: Journey, now: float) -> bool:
        """Whether a batch request keeps the slot it gets.

        1. Batch is never preempted here. 2. It goes by the share of the aged: people wait already. 3. It was put back often
        enough, and the share of slot time that is for such has been saved up.
        """
        preemptions_max = self._spec.batch.preemptions_max
        if not preemptions_max or self._line.length(INTERACTIVE):  # 1, 2
            return True
        return journey.preemptions >= preemptions_max and self._pay(journey.ticket.id, now)  # 3

    def _pay(self, ticket_id: int, now: float) -> bool:
        """Set the usual time of a request aside for one that keeps its slot; what it really takes is charged at its end."""
        ratio = self._spec.queue.batch_share_ratio
        needed_s = self._service_s or SERVICE_S_GUESS
        earned_s = ratio * self._roster.slots * (now - self._saved_at)
        self._saved_s, self._saved_at = min(self._saved_s + earned_s, needed_s), now
        if not ratio or self._saved_s < needed_s:
            return False
        self._saved_s -= needed_s
        self._kept[ticket_id] = needed_s
        return True
