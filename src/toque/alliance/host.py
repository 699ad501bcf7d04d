"""The host: a controller's side of an alliance, without connections: hellos and reports in, events out; effects in, words out.

Law: a gateway is one process of its name. As long as that may live, what it holds stays its own; another process of the same name
proves that the former is dead, unless that is connected. Nothing is lent before all that may hold slots have told.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from toque.alliance.words import (
    Beat,
    Bye,
    Capped,
    FromGateway,
    FromLeader,
    Gone,
    Granted,
    Hello,
    Models,
    Offer,
    Prospect,
    Report,
    Welcome,
    Withdrawn,
)
from toque.model.agent_spec import ModelSpec
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
    SlotsReturned,
    ToGateways,
    WithdrawReplica,
)
from toque.model.messages import Event
from toque.model.ticket import RefusalReason

Say: TypeAlias = Callable[[FromLeader], None]


@dataclass(slots=True)
class Guest:
    """One gateway. `say` is None while it is not connected; `session` tells its connections apart."""

    incarnation: str
    say: Say | None = None
    session: int = 0
    claims: dict[str, int] = field(default_factory=dict)
    """Slots it holds of replicas that are not known here (yet)."""


class Host:
    """`post` takes events to the core; `describe` says where a replica is. `expected`: gateways that may hold slots, by name."""

    def __init__(
        self,
        name: str,
        post: Callable[[Event], None],
        describe: Callable[[str, int], Offer | None],
        expected: Mapping[str, str],
    ) -> None:
        self._name = name
        self._post = post
        self._describe = describe
        self.guests: dict[str, Guest] = {name: Guest(incarnation) for name, incarnation in expected.items()}
        self.awaited: set[str] = set(expected)
        """Gateways that have not told yet what they hold."""
        self._models: tuple[ModelSpec, ...] = ()
        self._offers: dict[int, Offer] = {}
        self._ids: dict[str, int] = {}
        self._withdrawn: set[int] = set()
        self._prospects: dict[str, RefusalReason] = {}
        self._sessions = 0

    def open(self) -> None:
        """Begin: where nobody may hold anything, slots are lent from the start."""
        if not self.awaited:
            self._post(HoldingsKnown())

    # ---- gateways ----------------------------------------------------------------------------------------------------

    def objection(self, hello: Hello) -> str:
        """Say why a gateway cannot be taken in; empty where it can."""
        guest = self.guests.get(hello.gateway)
        if guest is not None and guest.say is not None and guest.incarnation != hello.incarnation:
            return f"another gateway is connected by the name {hello.gateway}: give each a name of its own"
        return ""

    def join(self, hello: Hello, say: Say, proof: str = "") -> int:
        """Take a gateway in to whom nothing is to object; returns the number of its session."""
        name = hello.gateway
        former = self.guests.get(name)
        if former is not None and former.incarnation != hello.incarnation:
            self._post(GatewayDied(name))
        self._sessions += 1
        unknown = {mark: slots for mark, slots in hello.held.items() if mark not in self._ids}
        self.guests[name] = Guest(hello.incarnation, say, self._sessions, unknown)
        say(Welcome(self._name, proof))
        say(Models(self._models))
        for replica_id, offer in self._offers.items():
            say(offer)
            if replica_id in self._withdrawn:
                say(Withdrawn(offer.mark))
        for pool, reason in self._prospects.items():
            say(Prospect(pool, reason))
        self._post(GatewayJoined(name, tuple((self._ids[m], n) for m, n in hello.held.items() if m in self._ids)))
        self._told(name)
        return self._sessions

    def hear(self, name: str, session: int, word: FromGateway) -> None:
        """Take a word of a gateway; on a connection that another one has taken the place of it is none."""
        if not self._is_of(name, session):
            return
        match word:
            case Report(loads, returned):
                for mark, slots in returned.items():
                    self._returned(name, mark, slots)
                for pool, load in loads.items():
                    self._post(LoadReported(name, pool, load))
            case Bye():
                self.bury(name)
            case Hello() | Beat():
                pass
            case _:
                assert_never(word)

    def lose(self, name: str, session: int) -> None:
        """The connection to a gateway has ended."""
        if self._is_of(name, session):
            self.guests[name].say = None
            self._post(GatewayLost(name))

    def bury(self, name: str) -> None:
        """It is proven that a gateway is dead."""
        if self.guests.pop(name, None) is not None:
            self._post(GatewayDied(name))
            self._told(name)

    def silent(self) -> Mapping[str, str]:
        """Gateways that are not connected and may live: incarnations by name."""
        return {name: guest.incarnation for name, guest in self.guests.items() if guest.say is None}

    def _is_of(self, name: str, session: int) -> bool:
        guest = self.guests.get(name)
        return guest is not None and guest.say is not None and guest.session == session

    def _returned(self, name: str, mark: str, slots: int) -> None:
        claims = self.guests[name].claims
        if mark in self._ids:
            self._post(SlotsReturned(name, self._ids[mark], slots))
        elif mark in claims:
            claims[mark] = max(0, claims[mark] - slots)

    def _told(self, name: str) -> None:
        if name in self.awaited:
            self.awaited.remove(name)
            self.open()

    # ---- what the core wishes ----------------------------------------------------------------------------------------

    def serve(self, models: Iterable[ModelSpec]) -> None:
        """Tell every gateway of the models there are, before anything is offered of them."""
        self._models = tuple(models)
        self._shout(Models(self._models))

    def carry_out(self, effect: ToGateways) -> None:
        """Tell gateways what they may do."""
        match effect:
            case OfferReplica(pool, replica_id):
                self._offer(pool, replica_id)
            case WithdrawReplica(replica_id):
                if replica_id in self._offers:
                    self._withdrawn.add(replica_id)
                    self._shout(Withdrawn(self._offers[replica_id].mark))
            case ForgetReplica(replica_id):
                self._forget(replica_id)
            case GrantSlots(gateway, replica_id, slots):
                self._say(gateway, Granted(self._offers[replica_id].mark, slots))
            case CapSlots(gateway, pool, most, for_people):
                self._say(gateway, Capped(pool, most, for_people))
            case _:
                assert_never(effect)

    def foresee(self, pool: str, reason: RefusalReason | None) -> None:
        """Tell gateways whether anything is expected of a pool, where that has changed."""
        if self._prospects.get(pool) is not reason:
            if reason is None:
                del self._prospects[pool]
            else:
                self._prospects[pool] = reason
            self._shout(Prospect(pool, reason))

    def _offer(self, pool: str, replica_id: int) -> None:
        offer = self._describe(pool, replica_id)
        if offer is None:
            return  # it has died meanwhile, which is told next
        self._withdrawn.discard(replica_id)
        self._offers[replica_id] = offer
        self._ids[offer.mark] = replica_id
        self._shout(offer)
        claims = [
            (name, guest.claims.pop(offer.mark)) for name, guest in self.guests.items() if offer.mark in guest.claims
        ]
        self._post(ReplicaClaimed(replica_id, tuple((name, slots) for name, slots in claims if slots)))

    def _forget(self, replica_id: int) -> None:
        offer = self._offers.pop(replica_id, None)
        self._withdrawn.discard(replica_id)
        if offer is not None:
            del self._ids[offer.mark]
            self._shout(Gone(offer.mark))

    def _say(self, name: str, word: FromLeader) -> None:
        guest = self.guests.get(name)
        if guest is not None and guest.say is not None:
            guest.say(word)

    def _shout(self, word: FromLeader) -> None:
        for name in self.guests:
            self._say(name, word)
