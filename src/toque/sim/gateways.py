"""Several gateways in virtual time: a core each, a controller's core, what they say to each other, and replicas that all of them use.

Law: words take their time, connections end, gateways and controllers die; whatever happens, no replica is given more requests than
it has slots, which is looked at with each request. The sides are those that run live: `alliance/member.py` and `alliance/host.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from math import inf

from toque.alliance.host import Host
from toque.alliance.member import Member
from toque.alliance.words import Offer
from toque.core.fleet import Fleet
from toque.core.given import held_of, loads_of
from toque.model.cluster import AskForSlots, ReplicasAdopted, ReturnSlots, ToGateways
from toque.model.messages import (
    Arrived,
    Dispatch,
    Effect,
    Event,
    Failed,
    Finished,
    Preempt,
    Refuse,
    ReplicaReady,
    ReplicaStopped,
    StartReplica,
    StopReplica,
    Woke,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec
from toque.model.ticket import FailureKind, Ticket
from toque.sim.alliance import Felt, Play
from toque.sim.arrival import Arrival
from toque.sim.clockwork import Clockwork
from toque.sim.link import RETRY_S, Link
from toque.sim.shared import Copy, SharedReplicas

ROOMY = Resources(memory_bytes=2**50, cores=1e6)


@dataclass(slots=True)
class _Request:
    gateway: str
    arrival: Arrival
    mark: str = ""
    dispatched_at: float = 0.0


class _Gateway:
    """One process; `number` tells it from another of its name."""

    def __init__(self, name: str, number: int, fleet: Fleet, member: Member) -> None:
        self.name = name
        self.number = number
        self.fleet = fleet
        self.member = member
        self.link: Link


class _Leader:
    """One controller while it leads."""

    def __init__(self, number: int, fleet: Fleet) -> None:
        self.number = number
        self.fleet = fleet
        self.host: Host
        self.marks: dict[int, str] = {}


class World:
    """`check` is called after every step with the core that took it, and the time."""

    def __init__(self, play: Play, check: Callable[[Fleet, float], None] = lambda fleet, now: None) -> None:
        self.play = play
        self._check = check
        self.clock = Clockwork()
        self._numbers = count(1)
        self.gateways: dict[str, _Gateway] = {}
        self.leader: _Leader | None = None
        self._requests: dict[int, _Request] = {}
        self.felt: dict[str, Felt] = {}
        self._replicas = SharedReplicas(self.clock, play.replica, play.pool.slots, self._served, self._ready)
        self.busy_s = 0.0
        self.lead()
        for name in play.gateways:
            self.open(name)

    # ---- what a story does ---------------------------------------------------------------------------------------------

    def lead(self) -> None:
        """A controller is elected; it knows of replicas that are there, and of gateways that may live."""
        now = self.clock.now
        fleet = Fleet(FleetSpec((self.play.pool,), ROOMY, lends=True), now)
        leader = self.leader = _Leader(next(self._numbers), fleet)
        expected = {gateway.name: str(gateway.number) for gateway in self.gateways.values()}
        leader.host = Host(
            f"controller-{leader.number}",
            lambda event: self._tell_leader(leader, event),
            lambda pool, replica_id: Offer(leader.marks[replica_id], pool, "", 0),
            expected,
        )
        if self.replicas:
            self._tell_leader(leader, ReplicasAdopted(self.play.pool.name, self.replicas))
        self._tell_leader(leader, Woke())
        leader.host.open()

    def depose(self, away_s: float) -> None:
        """The leader dies at once; another one is elected a while later. Replicas run on."""
        self.leader = None
        self._replicas.unbind()
        for gateway in self.gateways.values():
            gateway.link.drop()
            self._later(RETRY_S, gateway.link.connect)
        self._later(away_s, self.lead)

    def open(self, name: str) -> None:
        """A gateway starts."""
        spec = replace(self.play.pool, given=True, elastic=False)
        fleet = Fleet(FleetSpec((spec,), ROOMY), self.clock.now)
        self.felt.setdefault(name, Felt())
        gateway: _Gateway
        member = Member(
            lambda event: self._tell(gateway, event),
            lambda: held_of(fleet.pools),
            lambda arrivals: loads_of(fleet.pools, arrivals, self.clock.now),
            {},
            {},
        )
        gateway = self.gateways[name] = _Gateway(name, next(self._numbers), fleet, member)
        who = (name, str(gateway.number))
        gateway.link = Link(self.clock, self.play.delay_s, who, member, self._host)
        gateway.link.open()

    def kill(self, name: str, proof_s: float = inf) -> None:
        """A gateway dies with all it has in flight; that is proven a while later (inf: only by its next process)."""
        gateway = self.gateways.pop(name)
        gateway.link.close()
        for number, request in [(n, r) for n, r in self._requests.items() if r.gateway == name]:
            self._leave(number, request)
            self._end(number, request)
            self.felt[name].lost += 1
        if proof_s < inf:
            self._later(proof_s, lambda: self._bury(name))

    def cut(self, name: str, for_s: float) -> None:
        """The connection of a gateway ends, and none can be made for a while; it serves on."""
        link = self.gateways[name].link
        link.cut()
        self._later(for_s, link.connect)

    def run(self, arrivals: Iterable[tuple[str, Arrival]], until: float = 0.0) -> None:
        """Serve these requests, each at its gateway (or at another, if that is gone); `until` and to the last one's end."""
        coming: Iterator[tuple[str, Arrival]] = iter(arrivals)
        upcoming = next(coming, None)
        while upcoming is not None or self._requests or self.clock.now < until:
            due, fleet = min(((f.next_wake(), f) for f in self._fleets()), key=lambda pair: pair[0])
            next_at = min(due, self.clock.next_at())
            if upcoming is not None and upcoming[1].at <= next_at:
                self.clock.now = max(self.clock.now, upcoming[1].at)
                self._arrive(*upcoming)
                upcoming = next(coming, None)
            elif due < self.clock.next_at():
                self.clock.now = max(self.clock.now, due)
                self._wake(fleet)
            else:
                self.clock.turn()
        self._replicas.close()

    @property
    def utilization(self) -> float:
        """Busy share of the slots of ready replicas."""
        paid_s = self._replicas.paid_s * self.play.pool.slots
        return self.busy_s / paid_s if paid_s else 0.0

    @property
    def replicas(self) -> int:
        """Replicas that answer or are to."""
        return len(self._replicas.copies)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Plan something for an instant."""
        self.clock.at(when, call)

    def _bury(self, name: str) -> None:
        if self.leader is None:
            self._later(RETRY_S, lambda: self._bury(name))
        elif name not in self.gateways:
            self.leader.host.bury(name)

    # ---- steps ---------------------------------------------------------------------------------------------------------

    def _host(self) -> Host | None:
        return self.leader.host if self.leader is not None else None

    def _fleets(self) -> list[Fleet]:
        fleets = [gateway.fleet for gateway in self.gateways.values()]
        return [*fleets, self.leader.fleet] if self.leader is not None else fleets

    def _wake(self, fleet: Fleet) -> None:
        if self.leader is not None and self.leader.fleet is fleet:
            self._tell_leader(self.leader, Woke())
        else:
            self._tell(next(g for g in self.gateways.values() if g.fleet is fleet), Woke())

    def _tell(self, gateway: _Gateway, event: Event) -> None:
        effects = gateway.fleet.handle(event, self.clock.now)
        for effect in effects:
            self._carry_out(gateway, effect)
        self._check(gateway.fleet, self.clock.now)

    def _tell_leader(self, leader: _Leader, event: Event) -> None:
        if leader is not self.leader:
            return
        effects = leader.fleet.handle(event, self.clock.now)
        for effect in effects:
            if isinstance(effect, StartReplica):
                copy = self._replicas.order(effect.replica_id, self.play.cold_start_s)
                leader.marks[effect.replica_id] = copy.mark
            elif isinstance(effect, StopReplica):
                self._stop(leader, effect.replica_id)
            elif isinstance(effect, ToGateways):
                leader.host.carry_out(effect)
        self._check(leader.fleet, self.clock.now)

    def _carry_out(self, gateway: _Gateway, effect: Effect) -> None:
        match effect:
            case Dispatch(number, replica_id):
                self._dispatch(gateway, number, replica_id)
            case Refuse(number):
                self.felt[gateway.name].refused += 1
                del self._requests[number]
            case Preempt(number):
                self._leave(number, self._requests[number])
            case ReturnSlots() | AskForSlots():
                gateway.member.carry_out(effect)
                gateway.link.stir()
            case _:
                pass

    # ---- requests ------------------------------------------------------------------------------------------------------

    def _arrive(self, name: str, arrival: Arrival) -> None:
        gateway = self.gateways.get(name) or next(iter(self.gateways.values()))
        number = next(self._numbers)
        self._requests[number] = _Request(gateway.name, arrival)
        deadline = self.clock.now + self.play.patience_s
        ticket = Ticket(number, self.play.pool.name, deadline, arrival.service_class, arrival.tenant)
        self._tell(gateway, Arrived(ticket))

    def _dispatch(self, gateway: _Gateway, number: int, replica_id: int) -> None:
        request, mark = self._requests[number], gateway.member.mark(replica_id)
        arrival = request.arrival
        if self._replicas.begin(mark, number, arrival.prompt_tokens, arrival.output_tokens):
            request.mark, request.dispatched_at = mark, self.clock.now
        else:  # it has just died; who asks it is told so
            self._later(0.0, lambda: self._tell(gateway, Failed(number, FailureKind.NOT_SENT)))

    def _served(self, number: int) -> None:
        request = self._requests[number]
        felt = self.felt[request.gateway]
        felt.served += 1
        felt.queue_wait.add(request.dispatched_at - request.arrival.at)
        self._end(number, request)
        self._tell(self.gateways[request.gateway], Finished(number))

    def _end(self, number: int, request: _Request) -> None:
        del self._requests[number]
        if request.mark:
            self.busy_s += self.clock.now - request.dispatched_at

    def _leave(self, number: int, request: _Request) -> None:
        """Close the call of a request."""
        if request.mark:
            self._replicas.leave(request.mark, number)
            self.busy_s += self.clock.now - request.dispatched_at
        request.mark = ""

    # ---- replicas ------------------------------------------------------------------------------------------------------

    def _ready(self, copy: Copy) -> None:
        if self.leader is not None:
            self._tell_leader(self.leader, ReplicaReady(copy.bound))

    def _stop(self, leader: _Leader, replica_id: int) -> None:
        mark = leader.marks[replica_id]
        self._replicas.stop(mark)
        for number, request in [(n, r) for n, r in self._requests.items() if r.mark == mark]:
            request.mark = ""
            self._tell(self.gateways[request.gateway], Failed(number, FailureKind.LOST))
        self._later(0.0, lambda: self._tell_leader(leader, ReplicaStopped(replica_id)))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.clock.at(self.clock.now + seconds, call)
