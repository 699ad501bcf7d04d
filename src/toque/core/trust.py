"""Trust: what the answers of a pool's replicas say about them, and so who is sent requests.

Law: whether the process lives is the driver's to say (doubt and probe, `core/lifecycle.py`); whether it does its work is seen
by its answers, and said by its breaker, here alone. One loss of connections counts once, however many requests it took along.
"""

from collections import Counter
from collections.abc import Mapping
from math import inf

from toque.core.breaker import Turn
from toque.core.ejection import LOOK_EACH_S, Ejection
from toque.core.journey import Journey
from toque.core.lifecycle import Step
from toque.core.replica import Replica
from toque.core.roster import Roster
from toque.model.condition import BreakerState
from toque.model.messages import Effect, Failed, Finished, ProbeReplica, RecordBreaker
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind
from toque.model.view import ReplicaState

DOUBTFUL = frozenset({FailureKind.NOT_SENT, FailureKind.LOST, FailureKind.TIMEOUT})
"""Failures after which the replica itself is in doubt: nothing is sent to it until a probe has answered."""
BLAMELESS = frozenset({FailureKind.BUSY, FailureKind.DENIED})
"""Failures that say nothing of what the replica can do."""
UNKNOWN_S = 1.0
"""Told to those who are refused while a probe is under way: it may end at any moment."""


class Trust:
    """Breakers of one pool. `next_at` is the next instant at which time alone may change one (inf: none)."""

    __slots__ = (
        "_compares_at",
        "_ejection",
        "_journeys",
        "_pause_ends_at",
        "_resting",
        "_rests_until",
        "_roster",
        "_spec",
        "next_at",
        "turns",
    )

    def __init__(self, spec: PoolSpec, roster: Roster, journeys: Mapping[int, Journey]) -> None:
        self._spec = spec
        self._roster = roster
        self._journeys = journeys
        self._resting: dict[int, Replica] = {}
        self._pause_ends_at = inf
        self._rests_until = inf
        self._compares_at = inf
        self._ejection = Ejection(spec.ejection, roster)
        self.next_at = inf
        self.turns: Counter[BreakerState] = Counter()

    def is_outage(self, now: float) -> bool:
        """Whether every ready replica is barred, none is coming, and none wants only a pause that can be waited for."""
        roster = self._roster
        if roster.barred < roster.ready or roster.coming or roster.doubted or not roster.ready:
            return False
        return self._pause_ends_at > now + self._spec.queue.wait_s_max

    def outage_s(self, now: float) -> float:
        """Predict when the first barred replica may be tried."""
        return max(0.0, self._rests_until - now) if self._rests_until < inf else UNKNOWN_S

    # ---- requests ----------------------------------------------------------------------------------------------------

    def rouse(self, now: float) -> None:
        """Something may be under way again: where there are several replicas, their speeds will be compared."""
        roster = self._roster
        if self._compares_at == inf and roster.in_flight and roster.ready > 1 and self._spec.ejection.slow_factor:
            self._compares_at = now + self._spec.ejection.interval_s
            self.next_at = min(self.next_at, self._compares_at)

    def revise(self, spec: PoolSpec) -> None:
        """Go by other settings from now on; breakers there are keep theirs."""
        self._spec = spec
        self._ejection.revise(spec.ejection)

    def dispatched(self, replica: Replica, journey: Journey) -> None:
        """A request goes to a half-open replica: it is the probe, and nothing else may follow until it has ended."""
        if replica.breaker.state is BreakerState.HALF_OPEN:
            replica.breaker.probe = journey.ticket.id
            self._roster.bar(replica)

    def finished(self, replica: Replica, journey: Journey, event: Finished, now: float, out: list[Effect]) -> None:
        """An answer came: learn from its speed (0: none was measured), and close the breaker if it was the probe."""
        slowness = 0.0
        if event.ttft_s and self._roster.ready > 1 and self._spec.ejection.slow_factor:
            slowness = self._ejection.learn(replica, now - journey.dispatched_at, event, now)
        else:
            replica.look_at = now + LOOK_EACH_S
        breaker = replica.breaker
        if not breaker.is_alert:
            return
        if not breaker.is_awaiting(journey.ticket.id):
            breaker.succeeded(now)
        elif self._ejection.is_slow(slowness) and self._roster.barred < self._roster.ready:  # never the last
            self._turn(replica, Turn.FOUND_SLOW, "it is still slower than its peers", now, out)
        else:
            self._turn(replica, Turn.PROVED, "its probe was answered", now, out)

    def failed(self, replica: Replica, journey: Journey, event: Failed, now: float, out: list[Effect]) -> None:
        """No answer came: doubt the replica where that is due, and let its breaker know.

        1. The caller's time was up, the replica is busy or it denies us: no failure of it, but a busy one may ask for peace.
        2. The probe failed. 3. It is another model's: one answer is proof enough. 4. One failure more, unless the replica
        was in doubt already: then it is of the same cause.
        """
        breaker = replica.breaker
        is_probe = breaker.is_awaiting(journey.ticket.id)
        was_doubted = replica.state is ReplicaState.DOUBTED
        if event.kind in DOUBTFUL and self._roster.step(replica, Step.DOUBTED, now):
            out.append(ProbeReplica(replica.id))
        if event.kind in BLAMELESS or now >= journey.ticket.deadline:  # 1
            if event.kind is FailureKind.BUSY and event.retry_after_s:
                reason = f"it asked to be left alone for {event.retry_after_s:g} s"
                self._turn(replica, Turn.ASKED_FOR_PEACE, reason, now, out, event.retry_after_s)
        elif is_probe:  # 2
            self._open(replica, event.kind, f"its probe failed ({event.kind.value})", now, out)
        elif event.kind is FailureKind.STRANGER:  # 3
            self._open(replica, event.kind, "it answered as another model", now, out)
        elif not was_doubted and (reason := breaker.failed(now, lambda: self._outlived(replica, journey))):  # 4
            self._open(replica, event.kind, reason, now, out)

    def unreachable(self, replica: Replica, reason: str, now: float, out: list[Effect]) -> None:
        """A replica in doubt that is not ours cannot be reached: nobody can start it anew, so its breaker says when to try."""
        if self._roster.step(replica, Step.CLEARED, now):
            self._open(replica, FailureKind.NOT_SENT, reason, now, out)

    def left(self, replica: Replica, journey: Journey) -> None:
        """A request is off its replica: if it was the probe and showed nothing, another one may be let through."""
        if replica.breaker.is_awaiting(journey.ticket.id):
            replica.breaker.probe = None
            self._roster.bar(replica)

    # ---- time --------------------------------------------------------------------------------------------------------

    def wake(self, now: float, out: list[Effect]) -> None:
        """Let those try again that have rested, and compare the speeds where that is due."""
        if now >= self._rests_until:
            for replica in list(self._resting.values()):
                if now >= replica.breaker.until:
                    self._turn(replica, Turn.RESTED, "it has rested", now, out)
        if now >= self._compares_at:
            self._compares_at = inf
            for replica, times in self._ejection.compare(now):
                self._turn(replica, Turn.FOUND_SLOW, f"{times:.1f} times as slow as its peers", now, out)
            self._plan()

    def gone(self, replica: Replica) -> None:
        """Nothing is left of a replica."""
        self._ejection.forget(replica)
        if self._resting.pop(replica.id, None) is not None:
            self._plan()

    # ---- its own -----------------------------------------------------------------------------------------------------

    def _open(self, replica: Replica, kind: FailureKind, reason: str, now: float, out: list[Effect]) -> None:
        self._turn(replica, Turn.FAILED_TOO_OFTEN, reason, now, out)
        replica.breaker.is_silent = kind is FailureKind.TIMEOUT

    def _outlived(self, replica: Replica, failed: Journey) -> int:
        """Count what is under way on a replica and was sent no later than a request that failed there.

        What was sent longer ago than a window before it began in other times, and says nothing of these.
        """
        last = failed.sent_at(replica.id)
        first = last - self._spec.breaker.window_s
        others = (journey for journey in self._journeys.values() if journey is not failed)
        return sum(first <= journey.sent_at(replica.id) <= last for journey in others)

    def _turn(
        self, replica: Replica, turn: Turn, reason: str, now: float, out: list[Effect], pause_s: float = 0.0
    ) -> None:
        breaker = replica.breaker
        if not breaker.turn(turn, reason, now, pause_s):
            return
        self.turns[breaker.state] += 1
        if breaker.until < inf:
            self._resting[replica.id] = replica
        else:
            self._resting.pop(replica.id, None)
        if turn in {Turn.FOUND_SLOW, Turn.PROVED}:
            self._ejection.forget(replica)
        self._plan()
        self._roster.bar(replica)
        for_s = breaker.until - now if breaker.until < inf else 0.0
        out.append(RecordBreaker(self._spec.name, replica.id, breaker.state, reason, for_s))

    def _plan(self) -> None:
        """Know the next instants; those at rest are few."""
        resting = [replica.breaker for replica in self._resting.values()]
        self._rests_until = min((breaker.until for breaker in resting), default=inf)
        self.next_at = min(self._rests_until, self._compares_at)
        paused = [breaker.until for breaker in resting if breaker.state is BreakerState.PAUSED]
        self._pause_ends_at = min(paused, default=inf)
