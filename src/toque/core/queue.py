"""The waiting line of one pool: bounded, in two classes, with deadlines.

Law: interactive goes first. A batch request that waited `ageing_s` is aged, and aged batch gets `batch_share_ratio` of the
dispatches while both classes wait: batch always moves, and interactive's wait does not depend on the depth of batch.
Inside a class `class_line.py` says who is next. Every operation is O(log n) at most, whatever the length. Who was failed by an
overloaded replica rests beside the line first.
"""

from heapq import heapify, heappop, heappush
from itertools import islice
from math import inf
from typing import Final

from toque.core.admission import Admission
from toque.core.class_line import ClassLine
from toque.core.journey import Journey
from toque.model.spec import QueueSpec
from toque.model.ticket import RefusalReason, ServiceClass, Ticket

INTERACTIVE: Final = ServiceClass.INTERACTIVE
SLACK = 64


class Line:
    """Journeys that wait for a slot. `length_max` bounds each class by itself, so that batch never crowds out people.

    Large ones that `admission` holds back wait in a lobby of their class, ordered like a line, and count for its bound alone.

    `shortened`: so many interactive ones are taken in for now, if that is fewer (None: it is not shortened).
    """

    __slots__ = (
        "_admission",
        "_batch",
        "_deadlines",
        "_interactive",
        "_lines",
        "_lobby",
        "_rested_at",
        "_resting",
        "_since_batch",
        "_spec",
        "shortened",
    )

    def __init__(self, spec: QueueSpec, admission: Admission | None = None) -> None:
        self._spec = spec
        self._admission = admission
        self.shortened: int | None = None
        self._open()
        self._deadlines: list[tuple[float, int]] = []
        self._resting: dict[int, Journey] = {}
        self._rested_at = inf
        self._since_batch = 0

    def revise(self, spec: QueueSpec) -> list[Journey]:
        """Go by other limits; remove and return those who wait beyond the new length, the last of each class."""
        self._spec = spec
        beyond = []
        for service_class, lobby in self._lobby.items():
            while self.length(service_class) + len(lobby.waiting) > spec.length_max:
                line = lobby if lobby.waiting else self._of(service_class)
                beyond.append(next(reversed(line.waiting.values())))
                line.leave(beyond[-1])
        self._drop_stale_deadlines()
        return beyond

    def __len__(self) -> int:
        return len(self._interactive.waiting) + len(self._batch.waiting)

    def length(self, service_class: ServiceClass) -> int:
        """How many of one class wait."""
        return len(self._of(service_class).waiting)

    def is_full(self, service_class: ServiceClass) -> bool:
        """Whether one more of this class would break the bound."""
        return self.length(service_class) + self.held_back(service_class) >= self._bound(service_class)

    def held_back(self, service_class: ServiceClass) -> int:
        """How many large ones of one class wait in the lobby, until `Admission` lets them into the line."""
        return len(self._lobby[service_class].waiting)

    def is_first(self, service_class: ServiceClass) -> bool:
        """Whether a newcomer of this class would be the first to be served."""
        return not self._interactive.waiting and (service_class is INTERACTIVE or not self._batch.waiting)

    @property
    def people(self) -> int:
        """How many interactive ones wait, large ones in the lobby too."""
        return self.length(INTERACTIVE) + self.held_back(INTERACTIVE)

    def join(self, journey: Journey) -> None:
        """Wait in the line of one's class, or in its lobby, behind those of the same priority and tenant."""
        service_class = journey.ticket.service_class
        if self._admission is not None and self._admission.holds_back(journey.cost_tokens):
            self._lobby[service_class].join(journey)
        else:
            self._of(service_class).join(journey)
            self.admit(journey)
        heappush(self._deadlines, (journey.due_at, journey.ticket.id))

    def admit(self, journey: Journey) -> None:
        """Count one that is in the line, or was dispatched past it."""
        if self._admission is not None:
            self._admission.enter(journey.ticket.id, journey.cost_tokens)

    def ended(self, journey: Journey, now: float) -> None:
        """One that was in the line or in flight has ended: a large one makes room for who is in the lobby."""
        if self._admission is not None and self._admission.leave(journey.ticket.id):
            self.let_in(now)

    def let_in(self, now: float) -> None:
        """Let large ones into the line while there is room for them; they are charged when their turn comes there."""
        for service_class, lobby in self._lobby.items():
            while lobby.waiting and not (self._admission is not None and self._admission.is_full):
                journey = lobby.take(self._spec, now)
                journey.acquit()
                self._of(service_class).join(journey)
                self.admit(journey)

    def make_room(self, ticket: Ticket) -> list[Journey]:
        """Remove and return who makes way for one more in a full line; nobody where it would take from those who have less."""
        if self.length(ticket.service_class) + self.held_back(ticket.service_class) > self._bound(ticket.service_class):
            return []
        displaced = self._of(ticket.service_class).displace(ticket)
        self._drop_stale_deadlines()
        return [] if displaced is None else [displaced]

    def stay(self, journey: Journey, due_at: float) -> None:
        """Keep one's place, to be looked at again at another time."""
        journey.due_at = due_at
        if journey.ticket.id in self._resting:
            self.rest(journey, journey.not_before)
            return
        heappush(self._deadlines, (due_at, journey.ticket.id))
        self._drop_stale_deadlines()

    def fullness(self, ticket: Ticket) -> RefusalReason:
        """Say why there is no room in a full line for one more: its own tenant has more waiting than others, or it is just full."""
        is_crowded = self._of(ticket.service_class).is_crowded_by(ticket.tenant)
        return RefusalReason.RATE_LIMITED if is_crowded else RefusalReason.QUEUE_FULL

    def rejoin(self, journey: Journey) -> None:
        """Wait at the front: a request that was dispatched once does not queue again."""
        self._of(journey.ticket.service_class).rejoin(journey)
        heappush(self._deadlines, (journey.due_at, journey.ticket.id))

    def rest(self, journey: Journey, until: float) -> None:
        """Wait beside the line until then, or until it is due, and at the front afterwards. The retry budget bounds how many."""
        journey.not_before = min(until, journey.due_at)
        self._resting[journey.ticket.id] = journey
        self._rested_at = min(self._rested_at, journey.not_before)

    def leave(self, journey: Journey) -> None:
        """Leave from any place in the line, or from beside it."""
        if self._resting.pop(journey.ticket.id, None) is not None:
            self._end_rests(-inf)
            return
        lobby = self._lobby[journey.ticket.service_class]
        line = lobby if journey.ticket.id in lobby.waiting else self._of(journey.ticket.service_class)
        line.leave(journey)
        self._drop_stale_deadlines()

    def take(self, now: float, *, may_batch: bool = True) -> Journey:
        """Remove and return whose turn it is; somebody must wait whose turn it may be. Without `may_batch` that is interactive's."""
        line = self._turn(now) if may_batch else self._interactive
        journey = line.take(self._spec, now)
        self._drop_stale_deadlines()
        return journey

    def oldest_wait_s(self, service_class: ServiceClass, now: float) -> float:
        """How long the first of one class has waited; 0 where none does."""
        heads = islice(self._of(service_class).waiting.values(), 1)
        return max((now - journey.arrived_at for journey in heads), default=0.0)

    def due(self, now: float) -> list[Journey]:
        """Return those whose time has come, earliest first. Each is to `leave` or to `stay` for longer.

        Who has rested joins the line before.
        """
        if self._rested_at <= now:
            self._end_rests(now)
        due = []
        while self._deadlines and self._deadlines[0][0] <= now:
            due_at, ticket_id = heappop(self._deadlines)
            journey = self._find(ticket_id)
            if journey is not None and journey.due_at == due_at:
                journey.due_at = inf  # a second mark of the same instant is stale
                due.append(journey)
        return due

    def empty(self) -> list[Journey]:
        """Remove and return all, interactive first."""
        everyone = self.waiting()
        self._resting.clear()
        self._rested_at = inf
        self._open()
        self._deadlines.clear()
        return everyone

    def next_deadline(self) -> float:
        """When the next one is due or has rested; inf when nobody waits."""
        return min(self._deadlines[0][0], self._rested_at) if self._deadlines else self._rested_at

    def waiting(self) -> list[Journey]:
        """Everyone in line and beside it."""
        return [*self._in_line(), *self._resting.values()]

    def _open(self) -> None:
        """Begin with nobody in line."""
        self._interactive, self._batch = ClassLine(), ClassLine()
        self._lobby = {service_class: ClassLine() for service_class in ServiceClass}
        self._lines = (self._interactive, self._batch, *self._lobby.values())

    def _end_rests(self, now: float) -> None:
        """Let those join that have rested, and know the next instant."""
        for journey in [journey for journey in self._resting.values() if journey.not_before <= now]:
            del self._resting[journey.ticket.id]
            self.rejoin(journey)
        self._rested_at = min((journey.not_before for journey in self._resting.values()), default=inf)

    def _in_line(self) -> list[Journey]:
        return [journey for line in self._lines for journey in line.waiting.values()]

    def _of(self, service_class: ServiceClass) -> ClassLine:
        return self._interactive if service_class is INTERACTIVE else self._batch

    def _bound(self, service_class: ServiceClass) -> int:
        if self.shortened is not None and service_class is INTERACTIVE:
            return min(self.shortened, self._spec.length_max)
        return self._spec.length_max

    def _turn(self, now: float) -> ClassLine:
        """Say which class is next.

        1. only one class waits: that one; 2. batch is not aged yet: interactive; 3. batch is aged and its share is due:
        batch; 4. else interactive.
        """
        if not (self._batch.waiting and self._interactive.waiting):  # 1
            return self._batch if self._batch.waiting else self._interactive
        head = next(iter(self._batch.waiting.values()))
        if now - head.arrived_at < self._spec.ageing_s:  # 2
            return self._interactive
        self._since_batch += 1
        if self._since_batch * self._spec.batch_share_ratio >= 1:  # 3
            self._since_batch = 0
            return self._batch
        return self._interactive  # 4

    def _drop_stale_deadlines(self) -> None:
        """Keep the earliest deadline true, and the heap no longer than twice the line."""
        heap = self._deadlines
        while heap and self._is_stale(heap[0]):
            heappop(heap)
        if len(heap) > 2 * len(self) + SLACK and len(heap) > 2 * sum(len(line.waiting) for line in self._lines) + SLACK:
            heap[:] = [(journey.due_at, journey.ticket.id) for journey in self._in_line()]
            heapify(heap)

    def _is_stale(self, deadline: tuple[float, int]) -> bool:
        """Whether its journey left the line, or is due at another time now."""
        journey = self._find(deadline[1])
        return journey is None or journey.due_at != deadline[0]

    def _find(self, ticket_id: int) -> Journey | None:
        for line in self._lines:
            if ticket_id in line.waiting:
                return line.waiting[ticket_id]
        return None
