"""The roster: all replicas of one pool, counted by state and known to the router.

Law: counts, router and slots change here together, so that they cannot disagree.
"""

from itertools import islice
from math import inf

from toque.core.breaker import Breaker
from toque.core.lender import Lender
from toque.core.lifecycle import COMING, LIVE, Step, follow
from toque.core.replica import Replica
from toque.core.routing import Router
from toque.model.cluster import ReplicaDelayed
from toque.model.messages import ReplicaLoaded, ReplicaSpawned
from toque.model.resources import Resources
from toque.model.spec import PoolSpec
from toque.model.view import ReplicaState

PHASES = {ReplicaSpawned: Step.SPAWNED, ReplicaLoaded: Step.LOADED}
"""What a replica that is coming tells of its way, as a step of its life."""


class Roster:
    """Replicas by id. `ready`, `coming` and `doubted` make up `live`: what the pool's target counts, all but the leaving.

    `barred` are those among `ready` whose breaker lets nothing through. `draining` is in the order in which their grace ends.
    `slots`: of all replicas that serve or soon will again.
    """

    __slots__ = (
        "_breaker_spec",
        "_router",
        "_slots",
        "barred",
        "choose",
        "coming",
        "doubted",
        "draining",
        "in_flight",
        "is_blind",
        "is_missed",
        "lender",
        "live",
        "most",
        "ready",
        "replicas",
        "slots",
    )

    def __init__(self, spec: PoolSpec, router: Router) -> None:
        self._slots = 0 if spec.given else spec.slots
        self._breaker_spec = spec.breaker
        self._router = router
        self.choose = router.choose
        """Asks the router for a replica with a free slot, rather not the one named: its own method, for each request asks."""
        self.replicas: dict[int, Replica] = {}
        self.in_flight = 0
        self.live = 0
        self.coming = 0
        self.ready = 0
        self.barred = 0
        self.doubted = 0
        self.slots = 0
        self.most = inf
        """Slots that may stay here, where they are lent."""
        self.is_missed = False
        """Whether people wait elsewhere for those that may not."""
        self.draining: dict[int, Replica] = {}
        self.lender: Lender | None = None
        self.is_blind = False
        """Whether it is not known yet which slots gateways hold."""

    def revise(self, spec: PoolSpec, router: Router) -> None:
        """Give replicas that are ordered from now on other slots and another breaker, and ask another router."""
        self._slots = 0 if spec.given else spec.slots
        self._breaker_spec = spec.breaker
        self._router = router
        self.choose = router.choose
        for replica in self.replicas.values():
            router.place(replica)

    def order(self, replica_id: int, footprint: Resources, now: float) -> Replica:
        """Enter a replica that was just ordered."""
        replica = Replica(replica_id, self._slots, footprint, Breaker(self._breaker_spec), now)
        self.replicas[replica_id] = replica
        self._count(replica, 1)
        return replica

    def step(self, replica: Replica, step: Step, now: float) -> bool:
        """Move a replica along the lifecycle table; False where the table says no."""
        state = follow(replica.state, step)
        if state is None:
            return False
        self._count(replica, -1)
        replica.enter(state, step, now)
        self._count(replica, 1)
        self._router.place(replica)
        if self.lender is not None:
            self.lender.place(replica)
        return True

    def advance(self, replica: Replica, event: ReplicaSpawned | ReplicaLoaded | ReplicaDelayed, now: float) -> None:
        """Take what a coming replica tells: how far it is, or what it waits for."""
        if isinstance(event, ReplicaDelayed):
            replica.delay = event.reason
        else:
            self.step(replica, PHASES[type(event)], now)

    def grant_grace(self, replica: Replica, until: float) -> None:
        """Let one that has just begun to drain finish until then. After a reload with a shorter grace it may end before others."""
        replica.drain_until = until
        before = next(islice(reversed(self.draining.values()), 1, None), None)
        if before is not None and before.drain_until > until:
            self.draining = dict(sorted(self.draining.items(), key=lambda item: item[1].drain_until))

    def bar(self, replica: Replica) -> None:
        """Let the router know whether the breaker of a replica lets requests through now."""
        self._count(replica, -1)
        replica.is_barred = replica.breaker.is_barred
        self._count(replica, 1)
        self._router.place(replica)

    def remove(self, replica: Replica) -> None:
        """Strike a replica of which nothing is left."""
        del self.replicas[replica.id]
        self._count(replica, -1)
        self._router.remove(replica)
        self.in_flight -= replica.in_flight
        if self.lender is not None:
            self.lender.remove(replica)

    def widen(self, replica: Replica, change: int) -> None:
        """Have so many more slots of a replica, or fewer: free ones."""
        self._count(replica, -1)
        replica.slots += change
        self._count(replica, 1)
        self._router.place(replica)

    def take_slot(self, replica: Replica) -> None:
        """Fill one slot."""
        replica.in_flight += 1
        replica.idle_since = None
        self.in_flight += 1
        self._router.place(replica)

    def free_slot(self, replica: Replica, now: float) -> None:
        """Empty one slot."""
        replica.in_flight -= 1
        self.in_flight -= 1
        if not replica.in_flight:
            replica.idle_since = now
        self._router.place(replica)

    def is_in_use(self, replica: Replica) -> bool:
        """Whether requests may be in a replica, of this process or of gateways."""
        return replica.in_flight > 0 or replica.lent > 0 or self.is_blind

    @property
    def free_slots(self) -> int:
        """Empty slots of replicas that are sent requests now."""
        if self.live == len(self.replicas) and not (self.barred or self.doubted):
            return self.slots - self.in_flight
        return sum(r.slots - r.in_flight for r in self.replicas.values() if r.is_routable)

    def surplus(self) -> list[Replica]:
        """Ready replicas, the one to miss least first: barred, then fewest in flight, then the youngest."""
        ready = [r for r in self.replicas.values() if r.state is ReplicaState.READY]
        return sorted(ready, key=lambda r: (not r.is_barred, r.in_flight + r.lent, -r.id))

    def in_state(self, state: ReplicaState) -> list[Replica]:
        """Replicas in one state, oldest first."""
        return [r for r in self.replicas.values() if r.state is state]

    def _count(self, replica: Replica, change: int) -> None:
        """Keep plain counters: they are read on every request, and states change once in a while."""
        state = replica.state
        if state in LIVE:
            self.live += change
        if state in COMING:
            self.coming += change
        elif state is ReplicaState.READY:
            self.ready += change
            self.slots += change * replica.slots
            self.barred += change * replica.is_barred
        elif state is ReplicaState.DOUBTED:
            self.doubted += change
            self.slots += change * replica.slots
        elif state is ReplicaState.DRAINING and change > 0:
            self.draining[replica.id] = replica
        elif state is ReplicaState.DRAINING:
            del self.draining[replica.id]
