"""How core tests are told: a fleet, events at instants, and the effects that came of them.

Law: after every step the invariants hold, every effect names something known, and a ticket ends exactly once.
"""

from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TypeVar

from toque.core.fleet import Fleet
from toque.core.invariants import check_fleet
from toque.model.fallback_spec import SpendingSpec
from toque.model.messages import (
    Abandoned,
    Arrived,
    Began,
    Dispatch,
    Divert,
    Effect,
    Event,
    Failed,
    Finished,
    Hedge,
    Preempt,
    ProbeReplica,
    RecordDecision,
    Refuse,
    ReplicaFailed,
    ReplicaReady,
    ReplicaStopped,
    StartReplica,
    StopReplica,
    Woke,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec
from toque.model.ticket import PRIORITY, ServiceClass, Ticket

E = TypeVar("E")

GIB = 2**30
ROOMY = Resources(memory_bytes=1024 * GIB, cores=1024.0, gpu_memory_bytes=1024 * GIB)
SAME_INSTANT_WAKES_MAX = 4


def arrival(
    ticket_id: int,
    pool: str = "chat",
    deadline: float = inf,
    *,
    batch: bool = False,
    fallbacks: tuple[str, ...] = (),
    tokens: int = 0,
    tenant: str = "",
    priority: int = PRIORITY,
    prompt: int = 0,
) -> Arrived:
    """A request comes in."""
    service_class = ServiceClass.BATCH if batch else ServiceClass.INTERACTIVE
    return Arrived(Ticket(ticket_id, pool, deadline, service_class, tenant, fallbacks, tokens, priority, prompt))


def only(effects: list[Effect], kind: type[E]) -> list[E]:
    """The effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def routes(effects: list[Effect]) -> list[tuple[int, int]]:
    """(ticket, replica) of every dispatch."""
    return [(d.ticket_id, d.replica_id) for d in only(effects, Dispatch)]


def refusals(effects: list[Effect]) -> list[tuple[int, str]]:
    """(ticket, reason) of every refusal."""
    return [(r.ticket_id, r.reason.value) for r in only(effects, Refuse)]


def moves(effects: list[Effect]) -> list[tuple[int, str, str]]:
    """(ticket, pool it moves to, cause) of every diversion."""
    return [(d.ticket_id, d.pool, d.cause.value) for d in only(effects, Divert)]


def starts(effects: list[Effect]) -> list[int]:
    """Replicas ordered."""
    return [s.replica_id for s in only(effects, StartReplica)]


def stops(effects: list[Effect]) -> list[int]:
    """Replicas ended."""
    return [s.replica_id for s in only(effects, StopReplica)]


def decisions(effects: list[Effect]) -> list[tuple[int, int]]:
    """(replicas before, after) of every scaling decision that changed their number."""
    told = [(r.decision.before, r.decision.after) for r in only(effects, RecordDecision)]
    return [(before, after) for before, after in told if before != after]


class Ledger:
    """What a shell may rely on, kept from events and effects alone."""

    def __init__(self) -> None:
        self.where: dict[int, int | None] = {}
        """Open tickets: the replica each is on, or None while it waits."""
        self.second: dict[int, int] = {}
        """Hedged tickets: the other replica each is on."""
        self.batch: set[int] = set()
        self.begun: set[int] = set()
        """Batch whose answer goes to its client."""
        self.ended: dict[int, str] = {}
        self.replicas: dict[int, str] = {}
        """Replica -> `coming`, `ready` or `stopping`."""
        self.gone: set[int] = set()

    def event(self, event: Event) -> None:
        """Learn what the outside told."""
        match event:
            case Arrived(ticket):
                self.where[ticket.id] = None
                self.batch |= {ticket.id} if ticket.service_class is ServiceClass.BATCH else set()
            case Began(ticket_id):
                self.begun.add(ticket_id)
            case Finished(ticket_id) if self.where.get(ticket_id) is not None:
                self._end(ticket_id, "finished")
            case Failed(ticket_id) if self.where.get(ticket_id) is not None:
                self._fail(ticket_id, event)
            case Abandoned(ticket_id) if ticket_id in self.where:
                self._end(ticket_id, "abandoned")
            case ReplicaReady(replica_id) if self.replicas.get(replica_id) == "coming":
                self.replicas[replica_id] = "ready"
            case ReplicaFailed(replica_id) | ReplicaStopped(replica_id) if replica_id in self.replicas:
                del self.replicas[replica_id]
                self.gone.add(replica_id)
            case _:
                pass

    def effect(self, effect: Effect) -> None:
        """Check what the core wishes for."""
        match effect:
            case Dispatch(ticket_id, replica_id):
                assert self.where.get(ticket_id, 0) is None, f"ticket {ticket_id} is not waiting"
                assert self.replicas.get(replica_id) == "ready", f"replica {replica_id} takes no tickets"
                self.where[ticket_id] = replica_id
            case Refuse(ticket_id, _, retry_after_s):
                assert self.where.get(ticket_id, 0) is None, f"ticket {ticket_id} is not waiting"
                assert 0 <= retry_after_s <= 60, f"Retry-After of {retry_after_s} s"
                self._end(ticket_id, "refused")
            case Hedge(ticket_id, replica_id):
                assert self.where.get(ticket_id) not in {None, replica_id}, (
                    f"ticket {ticket_id} is not on another replica"
                )
                assert ticket_id not in self.second, f"ticket {ticket_id} has two replicas already"
                self.second[ticket_id] = replica_id
            case Preempt(ticket_id):
                assert self.where.get(ticket_id), f"ticket {ticket_id} is on no replica"
                assert ticket_id in self.batch, f"ticket {ticket_id} is not batch"
                assert ticket_id not in self.begun, f"the answer of ticket {ticket_id} has begun"
                self.where[ticket_id] = None
                self.second.pop(ticket_id, None)
            case Divert(ticket_id):
                assert self.where.get(ticket_id, 0) is None, f"ticket {ticket_id} is not waiting"
            case _:
                self._replica_effect(effect)

    def _replica_effect(self, effect: Effect) -> None:
        match effect:
            case StartReplica(_, replica_id):
                assert replica_id not in self.replicas, f"replica {replica_id} is started twice"
                assert replica_id not in self.gone, f"the number {replica_id} is used again"
                self.replicas[replica_id] = "coming"
            case StopReplica(replica_id):
                assert self.replicas.get(replica_id) in {"coming", "ready"}, f"replica {replica_id} cannot be stopped"
                self.replicas[replica_id] = "stopping"
            case ProbeReplica(replica_id):
                assert self.replicas.get(replica_id) == "ready", f"replica {replica_id} cannot be probed"
            case _:
                pass

    def _fail(self, ticket_id: int, event: Failed) -> None:
        if event.replica_id and ticket_id in self.second:
            other = self.second.pop(ticket_id)
            self.where[ticket_id] = other if event.replica_id != other else self.where[ticket_id]
        elif event.began:
            self._end(ticket_id, "failed")
        else:
            self.where[ticket_id] = None
            self.second.pop(ticket_id, None)
            self.begun.discard(ticket_id)

    def _end(self, ticket_id: int, how: str) -> None:
        del self.where[ticket_id]
        self.second.pop(ticket_id, None)
        assert ticket_id not in self.ended, f"ticket {ticket_id} ended twice"
        self.ended[ticket_id] = how


class Story:
    """A fleet and the small world around it.

    With `loads_in_s` replicas become ready by themselves that long after their start and stop as soon as they are told;
    without it nothing happens but what the story tells.
    """

    def __init__(
        self,
        *pools: PoolSpec,
        capacity: Resources = ROOMY,
        loads_in_s: float | None = None,
        now: float = 0.0,
        spending: float = 0.0,
    ) -> None:
        self.spec = FleetSpec(pools, capacity, SpendingSpec(spending))
        self.born = self.now = now
        self.fleet = Fleet(self.spec, now)
        self.ledger = Ledger()
        self.journal: list[tuple[float, Event, list[Effect]]] = []
        self.loads_in_s = loads_in_s
        self._world: list[tuple[float, int, Event]] = []
        self._order = count()

    def at(self, now: float, *events: Event) -> list[Effect]:
        """Let time pass until `now`, then let the events happen; return the effects of these events alone."""
        self.until(now)
        return [effect for event in events for effect in self.happen(event)]

    def until(self, now: float) -> list[Effect]:
        """Let time pass: whatever is due by itself happens at its instant. Return the effects of that."""
        effects: list[Effect] = []
        wakes_here = 0
        while (due := min(self.fleet.next_wake(), self._world[0][0] if self._world else inf)) <= now:
            wakes_here = wakes_here + 1 if due <= self.now else 0
            self.now = max(self.now, due)
            if self._world and self._world[0][0] <= self.now:
                effects += self.happen(heappop(self._world)[2])
                continue
            assert wakes_here <= SAME_INSTANT_WAKES_MAX, f"time stands still at {self.now}"
            effects += self.happen(Woke())
        self.now = max(self.now, now)
        return effects

    def later(self, after_s: float, event: Event) -> None:
        """Let something happen by itself in a while."""
        heappush(self._world, (self.now + after_s, next(self._order), event))

    def check_replay(self) -> None:
        """The same events at the same times give the same effects on a fresh fleet."""
        fleet = Fleet(self.spec, self.born)
        for now, event, effects in self.journal:
            assert fleet.handle(event, now) == effects, f"another decision at {now} on {event}"

    def ready(self, now: float, *replica_ids: int) -> list[Effect]:
        """These replicas come up."""
        return self.at(now, *(ReplicaReady(replica_id) for replica_id in replica_ids))

    def happen(self, event: Event) -> list[Effect]:
        effects = self.fleet.handle(event, self.now)
        self.journal.append((self.now, event, effects))
        self.ledger.event(event)
        for effect in effects:
            self.ledger.effect(effect)
            self._answer(effect)
        check_fleet(self.fleet, self.now)
        assert self.ledger.where == {j.ticket.id: j.replica_id for j in self.fleet.journeys.values()}
        return effects

    def _answer(self, effect: Effect) -> None:
        if self.loads_in_s is None:
            return
        match effect:
            case StartReplica(_, replica_id):
                self.later(self.loads_in_s, ReplicaReady(replica_id))
            case StopReplica(replica_id):
                self.later(0.0, ReplicaStopped(replica_id))
            case _:
                pass


def warm(*pools: PoolSpec, capacity: Resources = ROOMY) -> Story:
    """A story whose minimum-warm replicas are ready at the instant 0 (replica 1, 2, ... in the order of the pools)."""
    story = Story(*pools, capacity=capacity)
    story.ready(0.0, *starts(story.until(0.0)))
    return story
