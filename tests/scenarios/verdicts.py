"""The law of breakers: whoever fails many requests is left alone, but not one that answers most of them slowly.

Law: concluded from what was sent where and what came of it. The schedules leave the share and the window of breakers as
they are by default.
"""

from collections import Counter

from toque.model.condition import BreakerState
from toque.model.messages import Abandoned, Dispatch, Effect, Event, Failed, Finished, Preempt, RecordBreaker
from toque.model.ticket import FailureKind
from toque.model.trust_spec import BreakerSpec

SPEC = BreakerSpec()
SENT_REQUESTS = frozenset({BreakerState.CLOSED, BreakerState.PAUSED})
"""A breaker opens from here by counting; from half-open by one request."""


class Verdicts:
    """What was sent to each replica and has not ended, and how many failed there since its breaker closed."""

    def __init__(self) -> None:
        self._sent: dict[int, tuple[int, float]] = {}
        self._failures: Counter[int] = Counter()
        self._states: dict[int, BreakerState] = {}

    def step(self, event: Event, effects: list[Effect], now: float) -> None:
        """Follow one step of the core."""
        failed = (0, 0.0)
        if isinstance(event, Finished | Failed | Abandoned):
            ended = self._sent.pop(event.ticket_id, None)
            if ended is not None and isinstance(event, Failed) and event.kind is not FailureKind.STRANGER:
                failed = ended
                self._failures[failed[0]] += 1
        for effect in effects:
            match effect:
                case Dispatch(ticket_id, replica_id):
                    self._sent[ticket_id] = (replica_id, now)
                case Preempt(ticket_id):
                    del self._sent[ticket_id]
                case RecordBreaker(_, replica_id, state):
                    self._check_turn(replica_id, state, failed)
                case _:
                    pass

    def _check_turn(self, replica_id: int, state: BreakerState, failed: tuple[int, float]) -> None:
        """Of all that was sent no later than the last failure, as large a share as it takes has failed."""
        before = self._states.get(replica_id, BreakerState.CLOSED)
        if state is BreakerState.OPEN and before in SENT_REQUESTS and failed[0] == replica_id:
            first, last = failed[1] - SPEC.window_s, failed[1]
            outlived = sum(there == replica_id and first <= at <= last for there, at in self._sent.values())
            failures = self._failures[replica_id]
            assert failures >= SPEC.failure_ratio * (failures + outlived), (
                f"replica {replica_id} is left alone for {failures} failures while {outlived} requests are under way"
            )
        if state is BreakerState.CLOSED and before is BreakerState.HALF_OPEN:
            self._failures[replica_id] = 0
        self._states[replica_id] = state
