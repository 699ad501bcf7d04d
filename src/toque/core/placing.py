"""Placing: who of those who wait gets which slot, and when batch gives one up for it.

Law: a free slot goes to whose turn it is, but to batch only where it has room. People who would wait longer than their
patience get a slot of batch, of whoever loses least; that request is put back to the front of its line, and counted once.
"""

from math import inf
from typing import Final

from toque.core.batch_share import BatchShare
from toque.core.exits import Exits
from toque.core.journey import Journey
from toque.core.queue import Line
from toque.core.replica import Replica
from toque.core.roster import Roster
from toque.core.slots import Slots
from toque.model.messages import Effect, Preempt
from toque.model.spec import PoolSpec
from toque.model.ticket import ServiceClass

BATCH: Final = ServiceClass.BATCH
INTERACTIVE: Final = ServiceClass.INTERACTIVE


class Placing:
    """That of one pool. `next_at` is when the patience of people ends who wait beside slots of batch (inf: nobody does)."""

    __slots__ = ("_exits", "_line", "_roster", "_share", "_slots", "_spec", "next_at")

    def __init__(
        self, spec: PoolSpec, roster: Roster, line: Line, slots: Slots, share: BatchShare, exits: Exits
    ) -> None:
        self._spec = spec
        self._roster = roster
        self._line = line
        self._slots = slots
        self._share = share
        self._exits = exits
        self.next_at = inf

    def revise(self, spec: PoolSpec) -> None:
        """Go by other settings from now on."""
        self._spec = spec
        self._share.revise(spec)

    def slot_for(self, service_class: ServiceClass, now: float, out: list[Effect]) -> Replica | None:
        """Find a slot for a newcomer, which only the first in line gets.

        1. Batch takes none that is kept from it. 2. For people one is freed that batch can give up, if their wait would be too
        long, or the line has no place to wait in.
        """
        if not self._line.is_first(service_class):
            return None
        if service_class is BATCH:  # 1
            return self._roster.choose(None) if self._share.has_room() else None
        replica = self._roster.choose(None)
        if replica is None and self._share.yields:  # 2
            is_full = self._line.is_full(INTERACTIVE)
            if is_full or self._is_too_long(now, is_in_line=False):
                return self._clear(now, out, spares=not is_full)
        return replica

    def fill(self, now: float, out: list[Effect]) -> None:
        """Give free slots to those who wait, in turn; then slots of batch to people who would wait too long."""
        line, roster, share = self._line, self._roster, self._share
        while line and (replica := roster.choose(None)) is not None:
            may_batch = not line.length(BATCH) or share.has_room()
            if not may_batch and not line.length(INTERACTIVE):
                return
            journey = line.take(now, may_batch=may_batch)
            if journey.avoid == replica.id:
                replica = roster.choose(journey.avoid) or replica
            self._slots.take(journey, replica, now, out)
        if share.yields and line.length(INTERACTIVE):
            self._make_way(now, out, is_due=False)

    def wake(self, now: float, out: list[Effect]) -> None:
        """The patience of people is over: now whatever batch can give up is theirs."""
        if now >= self.next_at:
            self.next_at = inf
            if self._roster.is_missed:
                self._give_up(now, out)
            self._make_way(now, out, is_due=True)

    def hurry(self, now: float) -> None:
        """People at another gateway wait for slots that batch has here: they have patience too."""
        if self._share.yields_now:
            self.next_at = min(self.next_at, now + self._spec.batch.preempt_patience_s)

    def clear_all(self, replica: Replica, now: float, out: list[Effect]) -> None:
        """Put back the batch that a replica has: its room is needed."""
        for journey in self._share.yielding(replica.id):
            self._preempt(journey, now, out)

    def put_back(self, journey: Journey, rest_s: float, now: float, out: list[Effect]) -> None:
        """Return a dispatched journey to the front of its line, perhaps after a rest; its slot is free."""
        self._slots.leave(journey, now, out)
        self._exits.plan(journey, now)
        self._line.rest(journey, now + rest_s) if rest_s else self._line.rejoin(journey)

    def _make_way(self, now: float, out: list[Effect], *, is_due: bool) -> None:
        """Free a slot of batch for each of the people who would wait too long, and look again when their patience is over."""
        while self._line.length(INTERACTIVE) and (is_due or self._is_too_long(now, is_in_line=True)):
            replica = self._clear(now, out, spares=not is_due)
            if replica is None:
                break
            self._slots.take(self._line.take(now, may_batch=False), replica, now, out)
        if not is_due and self._line.length(INTERACTIVE) and self._share.yields_now:
            self.next_at = min(self.next_at, now + self._spec.batch.preempt_patience_s)

    def _give_up(self, now: float, out: list[Effect]) -> None:
        """Let batch give up what is missed elsewhere: its slots go back as they get free."""
        while self._roster.slots > self._roster.most and (journey := self._share.youngest(now, spares=False)):
            self._preempt(journey, now, out)

    def _is_too_long(self, now: float, *, is_in_line: bool) -> bool:
        wait_s = self._exits.outlook.wait_s(INTERACTIVE, now, is_in_line=is_in_line)
        return wait_s > self._spec.batch.preempt_patience_s

    def _clear(self, now: float, out: list[Effect], *, spares: bool) -> Replica | None:
        """Return a replica with a slot that batch gave up; one that is missed at another gateway goes there."""
        while (journey := self._share.youngest(now, spares=spares)) is not None:
            replica = self._roster.replicas[journey.replica_id or -1]
            self._preempt(journey, now, out)
            if replica.in_flight < replica.slots:
                return replica
        return None

    def _preempt(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """Stop a request and put it back, as if it had never been sent."""
        out.append(Preempt(journey.ticket.id))
        self._share.preempted += 1
        self.put_back(journey, 0.0, now, out)
        journey.give_way()
