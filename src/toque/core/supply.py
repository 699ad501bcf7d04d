"""Supply: keeps the number of a pool's replicas at its target, within the budget.

Law: what does not fit is not started, and the reason is kept. A draining replica is recalled before a new one is started;
a replica that is still coming is never stopped by scaling down; nobody is stopped with requests in flight before its grace.
A replica of an outdated version serves until one of the new version is ready in its place, or until its room is needed for that.
"""

from collections.abc import Callable
from math import inf

from toque.core.budget import Budget
from toque.core.lifecycle import LIVE, Step
from toque.core.replica import Replica
from toque.core.restart import Restart
from toque.core.roster import Roster
from toque.model.cluster import ReturnSlots
from toque.model.condition import FailureCause
from toque.model.messages import Effect, StartReplica, StopReplica
from toque.model.resources import Resources
from toque.model.spec import PoolSpec
from toque.model.view import ReplicaState

SILENT = "it answers its health page but no request"


class Supply:
    """Orders and ends replicas of one pool. `shortage` says why the target is not reached; empty when it is.

    `outdated` are the replicas of an earlier version of the model that are not gone yet.
    """

    __slots__ = (
        "_budget",
        "_next_id",
        "_spec",
        "footprint",
        "outdated",
        "restart",
        "roster",
        "shortage",
        "target",
    )

    def __init__(self, spec: PoolSpec, roster: Roster, budget: Budget, next_id: Callable[[], int]) -> None:
        self._spec = spec
        self._budget = budget
        self._next_id = next_id
        self.roster = roster
        self.restart = Restart(spec.restart)
        self.footprint = spec.footprint
        self.shortage = ""
        self.target = 0 if spec.given else spec.replicas.bounded(0)
        self.outdated: dict[int, Replica] = {}

    @property
    def current(self) -> int:
        """Live replicas of the version in force."""
        return self.roster.live - sum(replica.state in LIVE for replica in self.outdated.values())

    @property
    def obstacle(self) -> str:
        """Why the target is not reached; empty when it is."""
        return self.shortage or (self.frozen if self.current != self.target else "")

    @property
    def frozen(self) -> str:
        """Why nothing can be started or ended now; empty when it can, and where nobody of ours does so."""
        return self._budget.frozen if self._spec.elastic else ""

    def reconcile(self, now: float, out: list[Effect]) -> None:
        """Start, recall or drain until live replicas match the target, as far as budget and back-off allow."""
        if self._spec.given:
            return
        self.shortage = ""
        if self.frozen:
            return
        missing = self.target - self.current
        if missing > 0:
            self._grow(missing, now, out)
        if self.outdated:
            self._replace(now, out)
        elif missing < 0 and self.roster.ready > self.target:  # those that are coming do not serve yet
            for replica in self.roster.surplus()[: self.roster.ready - self.target]:
                self.drain(replica, now, out, "fewer replicas are needed")

    def revise(self, spec: PoolSpec, target: int, now: float, out: list[Effect]) -> None:
        """Go by other settings; what is beyond the new maximum goes, those that serve nobody yet first."""
        self._spec = spec
        self.restart.revise(spec.restart)
        if spec.given:
            return
        self.target = target
        live = [r for r in self.roster.replicas.values() if r.state in LIVE and r.id not in self.outdated]
        live.sort(key=lambda r: (not r.is_coming, r.in_flight, -r.id))
        for replica in live[: max(0, len(live) - max(1, spec.replicas.maximum))]:
            self.retire(replica, now, out, "the settings allow fewer replicas")

    def want_one(self) -> None:
        """Somebody wants an answer: at least one replica is needed, if that is for us to say."""
        if not self._spec.given:
            self.target = max(1, self.target)

    def adopt(self, count: int) -> None:
        """Want as many as there are already, within the bounds; they are ordered like others, and found ready."""
        self.target = max(self.target, self._spec.replicas.bounded(count))

    def renew(self, now: float, out: list[Effect]) -> None:
        """From now on replicas start as another version of the model; those there are outdated."""
        if self._spec.given:
            return
        self.restart.renew()
        self.footprint = self._spec.footprint
        self.outdated = dict(self.roster.replicas)
        for replica in [r for r in self.outdated.values() if r.is_coming]:
            self.retire(replica, now, out, "the settings of its model changed")

    def leave(self, now: float, out: list[Effect]) -> None:
        """Let all go, and want none."""
        self.target = 0
        self.shortage = ""
        for replica in [r for r in self.roster.replicas.values() if r.state in LIVE]:
            self.retire(replica, now, out, "the model is no longer in the settings")

    def offered(self, replica_id: int, now: float) -> None:
        """Know of a replica that somebody else started: none of its slots is here yet."""
        replica = self.roster.replicas.get(replica_id)
        if replica is None:
            self.roster.step(self.roster.order(replica_id, Resources(), now), Step.READY, now)
        elif replica.state is ReplicaState.DRAINING:
            self.roster.step(replica, Step.RECALLED, now)

    def retire(self, replica: Replica, now: float, out: list[Effect], reason: str) -> None:
        """Let a live replica go: at once while it is coming, else when it has drained."""
        if replica.is_coming:
            self.roster.step(replica, Step.STOPPED, now)
            out.append(StopReplica(replica.id, reason))
        else:
            self.drain(replica, now, out, reason)

    def drain(self, replica: Replica, now: float, out: list[Effect], reason: str) -> None:
        """Send a ready (or doubted) replica nothing more; stop it at once if it has nothing."""
        self.roster.step(replica, Step.DRAINED, now)
        self.roster.grant_grace(replica, inf if self._spec.given else now + self._spec.replicas.drain_s_max)
        self.stop_if_drained(replica, now, out, reason)

    def stop_if_drained(self, replica: Replica, now: float, out: list[Effect], reason: str) -> None:
        """Stop a draining replica that has finished, or whose grace is over."""
        if replica.state is not ReplicaState.DRAINING:
            return
        if self._spec.given:  # it is stopped by whoever started it
            self.give_back(replica, out)
        elif not self.roster.is_in_use(replica) or now >= replica.drain_until:
            self.roster.step(replica, Step.STOPPED, now)
            out.append(StopReplica(replica.id, reason))

    def give_back(self, replica: Replica, out: list[Effect]) -> None:
        """Return the free slots of a replica that was lent and takes nothing new."""
        if replica.slots > replica.in_flight:
            out.append(ReturnSlots(replica.id, replica.slots - replica.in_flight))
            replica.slots = replica.in_flight

    def cleared(self, replica: Replica, now: float, out: list[Effect]) -> None:
        """Its process is well. One of ours whose breaker opened because it answers nothing all the same is replaced."""
        if self.roster.step(replica, Step.CLEARED, now) and replica.breaker.is_silent and self._spec.elastic:
            self.restart.failed(replica, FailureCause.UNHEALTHY, SILENT, now)
            self.drain(replica, now, out, SILENT)

    def ready(self, replica: Replica, measured: Resources) -> None:
        """Learn what a replica really takes. Cores are what it was given; memory is what was measured."""
        self.restart.ready()
        if measured.memory_bytes or measured.gpu_memory_bytes:
            self.footprint = Resources(
                measured.memory_bytes or self.footprint.memory_bytes,
                self.footprint.cores,
                measured.gpu_memory_bytes or self.footprint.gpu_memory_bytes,
            )
            replica.footprint = self.footprint
            self._budget.take(replica.id, self.footprint)

    def gone(self, replica: Replica) -> None:
        """Strike a replica and give its share of the budget back."""
        self.roster.remove(replica)
        self.outdated.pop(replica.id, None)
        self._budget.release(replica.id)

    def missing(self) -> str:
        """Say what one more replica lacks now; empty when it fits."""
        return self._budget.shortage(self.footprint)

    def next_at(self) -> float:
        """When the back-off or a grace ends (inf: neither is running)."""
        at = inf
        if self.roster.draining:
            at = next(iter(self.roster.draining.values())).drain_until
        if self.current < self.target and not (self.shortage or self.frozen or self._is_on_trial):
            at = min(at, self.restart.not_before)
        return at

    @property
    def _is_on_trial(self) -> bool:
        """Whether one start is to show first that the crash loop is over."""
        return self.restart.is_crash_loop and self.roster.coming > 0

    def _grow(self, missing: int, now: float, out: list[Effect]) -> None:
        recallable = [r for r in self.roster.draining.values() if r.id not in self.outdated]
        for replica in recallable[:missing]:
            self.roster.step(replica, Step.RECALLED, now)
            missing -= 1
        for _ in range(missing):
            if not self.restart.allows(now) or self._is_on_trial:
                return
            self.shortage = self.missing()
            if self.shortage:
                return
            self._start(now, out)

    def _replace(self, now: float, out: list[Effect]) -> None:
        """Let as many outdated replicas go as new ones serve; or one, where nothing new fits in beside them."""
        old = [r for r in self.outdated.values() if r.state in LIVE]
        old.sort(key=lambda r: (r.in_flight, r.id))
        serving = sum(
            r.state is ReplicaState.READY and r.id not in self.outdated for r in self.roster.replicas.values()
        )
        is_stuck = bool(self.shortage) and len(self.roster.replicas) == self.roster.live and not self.roster.coming
        spare = max(len(old) - max(0, self.target - serving), int(is_stuck))
        for replica in old[:spare]:
            self.retire(replica, now, out, "the settings of its model changed")

    def _start(self, now: float, out: list[Effect]) -> None:
        replica = self.roster.order(self._next_id(), self.footprint, now)
        self._budget.take(replica.id, self.footprint)
        out.append(StartReplica(self._spec.name, replica.id))
