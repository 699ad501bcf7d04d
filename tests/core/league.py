"""A controller and its gateways as cores alone: what one says reaches the other when the story lets it.

Law: after every step of any of them the invariants of all hold, and no replica has more in flight than it has slots.
"""

from collections import Counter, deque
from dataclasses import replace
from math import inf

from tests.core.story import ROOMY, arrival
from toque.core.fleet import Fleet
from toque.core.given import held_of, loads_of
from toque.core.invariants import check_fleet
from toque.model.cluster import (
    CapSlots,
    ForgetReplica,
    GatewayDied,
    GatewayJoined,
    GatewayLost,
    GrantSlots,
    HoldingsKnown,
    LoadReported,
    OfferReplica,
    ReplicaClaimed,
    ReplicaOffered,
    ReplicaWithdrawn,
    ReturnSlots,
    SlotsCapped,
    SlotsGranted,
    SlotsReturned,
    WithdrawReplica,
)
from toque.model.messages import (
    Dispatch,
    Effect,
    Event,
    Finished,
    Refuse,
    ReplicaReady,
    ReplicaStopped,
    StartReplica,
    StopReplica,
    Woke,
)
from toque.model.spec import FleetSpec, PoolSpec


class Side:
    """One gateway: its core, what is on the way to it and from it, and what it has in flight."""

    def __init__(self, spec: FleetSpec, now: float) -> None:
        self.fleet = Fleet(spec, now)
        self.down: deque[Event] = deque()
        self.up: deque[Event] = deque()
        self.is_here = False
        self.in_flight: dict[int, int] = {}
        self.refused: list[int] = []
        self.told: dict[str, int] = {}

    def held(self) -> tuple[tuple[int, int], ...]:
        """Every slot it has, of replicas that it may fill and of those that it empties."""
        return tuple(held_of(self.fleet.pools).items())


class League:
    """`names` are gateways of one pool; replicas come up and stop as soon as the controller's core wishes for it."""

    def __init__(self, pool: PoolSpec, *names: str, is_informed: bool = True) -> None:
        self.now = 0.0
        self.pool = pool
        self.controller = Fleet(FleetSpec((pool,), ROOMY, lends=True), 0.0)
        self.sides: dict[str, Side] = {}
        self.ticket = 0
        self.effects: list[Effect] = []
        self.tell(Woke())
        if is_informed:
            self.tell(HoldingsKnown())
        for name in names:
            self.join(name)
        self.flow()

    # ---- the controller ----------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Let the controller's core hear of something; what it wishes for is on its way then."""
        effects = self.controller.handle(event, self.now)
        self.effects += effects
        for effect in effects:
            self._carry_out(effect)
        self.check()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case StartReplica(_, replica_id):
                self.tell(ReplicaReady(replica_id))
            case StopReplica(replica_id):
                self.tell(ReplicaStopped(replica_id))
            case OfferReplica(pool, replica_id):
                self.shout(ReplicaOffered(pool, replica_id))
                self.tell(ReplicaClaimed(replica_id))
            case WithdrawReplica(replica_id):
                self.shout(ReplicaWithdrawn(replica_id))
            case ForgetReplica(replica_id):
                self.shout(ReplicaStopped(replica_id))
            case GrantSlots(gateway, replica_id, count):
                self.sides[gateway].down.append(SlotsGranted(replica_id, count))
            case CapSlots(gateway, pool, most, for_people):
                self.sides[gateway].down.append(SlotsCapped(pool, most, for_people))
            case _:
                pass

    def shout(self, event: Event) -> None:
        for side in self.sides.values():
            if side.is_here:
                side.down.append(event)

    # ---- gateways ----------------------------------------------------------------------------------------------------

    def join(self, name: str) -> None:
        """A gateway connects, for the first time or again: it is told of all replicas, and tells what it holds."""
        if name not in self.sides:
            spec = replace(self.pool, given=True, elastic=False)
            self.sides[name] = Side(FleetSpec((spec,), ROOMY), self.now)
        side = self.sides[name]
        side.is_here = True
        known = {r.id: r for pool in self.controller.pools.values() for r in pool.supply.roster.replicas.values()}
        self.tell(GatewayJoined(name, tuple((i, n) for i, n in side.held() if i in known)))
        side.down.extendleft(
            ReplicaOffered(self.pool.name, replica.id) for replica in reversed(known.values()) if replica.is_routable
        )
        for replica in list(side.fleet.pools[self.pool.name].supply.roster.replicas.values()):
            if replica.id not in known:
                side.down.append(ReplicaStopped(replica.id))
            elif not known[replica.id].is_routable:
                side.down.append(ReplicaWithdrawn(replica.id))

    def cut(self, name: str) -> None:
        """The connection ends, and what was on its way is lost."""
        side = self.sides[name]
        side.is_here = False
        side.down.clear()
        side.up.clear()
        self.tell(GatewayLost(name))

    def kill(self, name: str) -> None:
        """A gateway dies, with its requests."""
        del self.sides[name]
        self.tell(GatewayDied(name))

    def hear(self, name: str, event: Event) -> None:
        """Let a gateway's core hear of something."""
        side = self.sides[name]
        for effect in side.fleet.handle(event, self.now):
            match effect:
                case Dispatch(ticket_id, replica_id):
                    side.in_flight[ticket_id] = replica_id
                case Refuse(ticket_id):
                    side.refused.append(ticket_id)
                case ReturnSlots(replica_id, count):
                    side.up.append(SlotsReturned(name, replica_id, count))
                case _:
                    pass
        if not side.is_here:
            side.up.clear()
        self.check()

    def arrive(self, name: str, *, batch: bool = False) -> int:
        """A request comes to a gateway."""
        self.ticket += 1
        self.hear(name, arrival(self.ticket, self.pool.name, batch=batch))
        return self.ticket

    def finish(self, name: str, ticket_id: int) -> None:
        """A request is answered."""
        del self.sides[name].in_flight[ticket_id]
        self.hear(name, Finished(ticket_id))

    def report(self, name: str) -> None:
        """A gateway says what it has; that is on its way then."""
        side = self.sides[name]
        if side.is_here:
            for pool, load in loads_of(side.fleet.pools, side.told, self.now).items():
                side.told[pool] = side.told.get(pool, 0) + load.arrivals
                side.up.append(LoadReported(name, pool, load))

    # ---- the way between ---------------------------------------------------------------------------------------------

    def deliver(self, name: str, *, up: bool) -> None:
        """Let the next word arrive, if there is one."""
        side = self.sides[name]
        if up and side.up:
            self.tell(side.up.popleft())
        elif not up and side.down:
            self.hear(name, side.down.popleft())

    def flow(self, seconds: float = 1.0) -> None:
        """Let time pass: everything is told and arrives, until nobody has anything to say."""
        until = self.now + seconds
        while True:
            for name in self.sides:
                self.report(name)
            while any(side.up or side.down for side in self.sides.values()):
                for name in list(self.sides):
                    self.deliver(name, up=True)
                    self.deliver(name, up=False)
            fleets = {"": self.controller} | {name: side.fleet for name, side in self.sides.items()}
            at = min(fleet.next_wake() for fleet in fleets.values())
            if at > until:
                break
            self.now = max(self.now, at)
            for name, fleet in fleets.items():
                if fleet.next_wake() <= self.now:
                    self.tell(Woke()) if not name else self.hear(name, Woke())
        self.now = max(self.now, until)

    # ---- what is ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Hold the invariants of all, and the one that is about all of them."""
        check_fleet(self.controller, self.now)
        filled: Counter[int] = Counter()
        for side in self.sides.values():
            check_fleet(side.fleet, self.now)
            for pool in side.fleet.pools.values():
                for replica in pool.supply.roster.replicas.values():
                    filled[replica.id] += replica.slots
        for replica_id, count in filled.items():
            assert count <= self.pool.slots, f"{count} slots of replica {replica_id} are in gateways"

    def slots(self, name: str) -> int:
        """Slots that a gateway may fill now."""
        return self.sides[name].fleet.pools[self.pool.name].supply.roster.slots

    def share(self) -> list[int]:
        """The same of all gateways, in order."""
        return [self.slots(name) for name in self.sides]

    @property
    def replicas(self) -> int:
        """Replicas that are there or coming."""
        return self.controller.pools[self.pool.name].supply.roster.live

    def oldest_s(self, name: str) -> float:
        """How long the first who waits at a gateway has waited; inf where nobody does."""
        line = self.sides[name].fleet.pools[self.pool.name].line
        return max((self.now - j.arrived_at for j in line.waiting()), default=-inf)
