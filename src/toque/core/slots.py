"""Which request holds which slots, and how it comes by them and gives them back.

Law: a request in flight holds one slot, or two on different replicas while it is hedged: then the first answer counts, a failure
of one leaves the other, and whatever ends the request gives both back. A second attempt is paid for like a retry.
"""

from collections.abc import Mapping
from typing import Final

from toque.core.batch_share import BatchShare
from toque.core.hedge import HedgeTimer
from toque.core.journey import Journey
from toque.core.queue import Line
from toque.core.replica import Replica
from toque.core.retry import RetryBudget
from toque.core.supply import Supply
from toque.core.trust import Trust
from toque.model.cluster import ReturnSlots
from toque.model.condition import BreakerState
from toque.model.messages import Dispatch, Effect, Failed, Hedge
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind, ServiceClass
from toque.model.view import ReplicaState

BATCH: Final = ServiceClass.BATCH


class Slots:
    """Those of one pool. `hedged` counts second attempts."""

    __slots__ = ("_retries", "_share", "_supply", "_trust", "hedged", "timer")

    def __init__(self, spec: PoolSpec, supply: Supply, trust: Trust, retries: RetryBudget, share: BatchShare) -> None:
        self._supply = supply
        self._trust = trust
        self._retries = retries
        self._share = share
        self.timer = HedgeTimer(spec.hedge)
        self.hedged = 0

    def take(self, journey: Journey, replica: Replica, now: float, out: list[Effect]) -> None:
        """Send a request to this replica."""
        cold_start_s = journey.depart(replica, now)
        self._supply.roster.take_slot(replica)
        if replica.breaker.is_alert:
            self._trust.dispatched(replica, journey)
        if journey.ticket.service_class is BATCH:
            self._share.took(journey, now)
        elif journey.ticket.whole_tokens_max:  # nobody waits for batch: it is not hedged
            self.timer.watch(journey)
        out.append(Dispatch(journey.ticket.id, replica.id, cold_start_s))

    def leave(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """Give back all that a request holds."""
        if self._share.in_flight:
            self._share.left(journey, now)
        self._free(journey, journey.replica_id, now, out)
        if journey.second_id is not None:
            self._leave_second(journey, now, out)

    def wake(self, journeys: Mapping[int, Journey], line: Line, arrivals: int, now: float, out: list[Effect]) -> None:
        """Hedge what has taken long, unless somebody waits for the slots."""
        if now < self.timer.next_at:
            return
        for journey in self.timer.due(journeys, now):
            if not line:
                self._hedge(journey, arrivals, now, out)

    def answered(self, journey: Journey, winner_id: int, now: float, out: list[Effect]) -> None:
        """A request that may be hedged has its answer: of two replicas, the one that gave it is its only one."""
        if journey.second_id is not None:
            if winner_id == journey.second_id:
                journey.swap()
            self._leave_second(journey, now, out)
        self.timer.learn(journey, now)

    def drop(self, journey: Journey, event: Failed, now: float, out: list[Effect]) -> bool:
        """One of two replicas has failed: the other goes on. False where there is no other, or both have failed."""
        if journey.second_id is None or not event.replica_id:
            return False
        if event.replica_id != journey.second_id:
            journey.swap()
        replica = self._supply.roster.replicas.get(journey.second_id)
        if replica is not None:
            self._trust.failed(replica, journey, event, now, out)
        self._leave_second(journey, now, out)
        return True

    def _hedge(self, journey: Journey, arrivals: int, now: float, out: list[Effect]) -> None:
        """Send a request to a second replica too, if a sound one has a free slot and the budget of retries allows it."""
        roster = self._supply.roster
        replica = roster.choose(journey.replica_id)
        if replica is None or replica.id == journey.replica_id or replica.breaker.state is not BreakerState.CLOSED:
            return
        if self._retries.spend(journey, FailureKind.LOST, None, arrivals):
            journey.second_id, journey.second_at = replica.id, now
            roster.take_slot(replica)
            self.hedged += 1
            out.append(Hedge(journey.ticket.id, replica.id))

    def _leave_second(self, journey: Journey, now: float, out: list[Effect]) -> None:
        self._free(journey, journey.second_id, now, out)
        journey.second_id = None

    def _free(self, journey: Journey, replica_id: int | None, now: float, out: list[Effect]) -> None:
        roster = self._supply.roster
        replica = roster.replicas.get(replica_id or -1)
        if replica is not None:  # else it died before its last request was reported
            roster.free_slot(replica, now)
            if (
                roster.slots > roster.most and replica.state is not ReplicaState.DRAINING
            ):  # it was lent, and is missed elsewhere
                roster.widen(replica, -1)
                out.append(ReturnSlots(replica.id, 1))
            if replica.breaker.is_alert:
                self._trust.left(replica, journey)
            if roster.draining:
                self._supply.stop_if_drained(replica, now, out, "drained")
