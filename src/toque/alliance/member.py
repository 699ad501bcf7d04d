"""The member: a gateway's side of an alliance, without a connection: words in, events out; effects in, words out.

Law: a slot that was given back is told once, on the connection on which it was lent or in the next hello by its absence. Whatever
is told of a replica that the gateway does not know is no word.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count

from toque.alliance.words import (
    VERSION,
    Capped,
    FromLeader,
    Gone,
    Granted,
    Hello,
    Offer,
    Prospect,
    Report,
    Withdrawn,
)
from toque.model.agent_spec import Secret
from toque.model.cluster import (
    AskForSlots,
    PoolLoad,
    ProspectTold,
    ReplicaOffered,
    ReplicaWithdrawn,
    ReturnSlots,
    SlotsCapped,
    SlotsGranted,
)
from toque.model.endpoint import Endpoint
from toque.model.messages import Event, ReplicaStopped

STIR_S = 0.01
"""Between two reports, when there is something that somebody waits for."""
REPORT_S = 0.1
"""Between two reports, when there is something else to tell."""
SAME_HEAD_S = 0.02
"""Who waits first is the same while the instant it began differs by less: clocks round."""


class Member:
    """`post` takes events to the core; `held` and `loads` ask it what it has.

    `endpoints` and `marks` say where replicas are and what everybody calls them, by the core's number: kept here, for others to read.
    """

    def __init__(
        self,
        post: Callable[[Event], None],
        held: Callable[[], Mapping[int, int]],
        loads: Callable[[Mapping[str, int]], Mapping[str, PoolLoad]],
        endpoints: dict[int, Endpoint],
        marks: dict[int, str],
    ) -> None:
        self._post = post
        self._held = held
        self._loads = loads
        self._next_id = count(1).__next__
        self._ids: dict[str, int] = {}
        self._marks = marks
        self._endpoints = endpoints
        self.capped: dict[str, int | None] = {}
        self._returned: Counter[str] = Counter()
        self._arrivals: dict[str, int] = {}
        self._told: dict[str, PoolLoad] = {}
        self._told_at: dict[str, float] = {}
        self._is_stirred = False
        self._reported_at = 0.0

    def mark(self, replica_id: int) -> str:
        """What a replica is called by everybody; empty for one that is gone."""
        return self._marks.get(replica_id, "")

    def hello(self, gateway: str, incarnation: str) -> Hello:
        """Say who this is and what it holds: the first word of a connection. What was under way before is forgotten."""
        self._returned.clear()
        self._told.clear()
        self.capped.clear()
        for pool in self._loads({}):
            self._post(SlotsCapped(pool, None))
        held = {self._marks[replica_id]: slots for replica_id, slots in self._held().items()}
        return Hello(VERSION, gateway, incarnation, held)

    def carry_out(self, effect: ReturnSlots | AskForSlots) -> None:
        """Take what the core wishes: it goes with the next report, which is due soon then."""
        self._is_stirred = True
        if isinstance(effect, ReturnSlots) and effect.replica_id in self._marks:
            self._returned[self._marks[effect.replica_id]] += effect.count

    def due_at(self) -> float:
        """When to report."""
        return self._reported_at + (STIR_S if self._is_stirred else REPORT_S)

    def report(self, now: float) -> Report | None:
        """Say what has changed since the last time; None where nothing has."""
        self._reported_at, self._is_stirred = now, False
        changed = {pool: load for pool, load in self._loads(self._arrivals).items() if self._is_news(pool, load, now)}
        for pool, load in changed.items():
            self._arrivals[pool] = self._arrivals.get(pool, 0) + load.arrivals
            self._told[pool], self._told_at[pool] = load, now
        returned = dict(self._returned)
        self._returned.clear()
        return Report(changed, returned) if changed or returned else None

    def _is_news(self, pool: str, load: PoolLoad, now: float) -> bool:
        told = self._told.get(pool)
        if told is None:
            return load != PoolLoad()
        since, before = now - load.waiting_s, self._told_at[pool] - told.waiting_s
        is_other = bool(load.waiting) and abs(since - before) > SAME_HEAD_S
        return is_other or load.arrivals > 0 or _counts(load) != _counts(told)

    # ---- what the leader says ----------------------------------------------------------------------------------------

    def hear(self, word: FromLeader) -> None:
        """Take a word about replicas and slots."""
        match word:
            case Offer():
                self._offered(word)
            case Granted(mark, slots) if mark in self._ids:
                self._post(SlotsGranted(self._ids[mark], slots))
            case Withdrawn(mark) if mark in self._ids:
                self._post(ReplicaWithdrawn(self._ids[mark]))
            case Gone(mark) if mark in self._ids:
                self._forget(mark)
            case Capped(pool, most, for_people):
                self.capped[pool] = most
                self._post(SlotsCapped(pool, most, for_people))
            case Prospect(pool, reason):
                self._post(ProspectTold(pool, reason))
            case _:
                pass

    def _offered(self, offer: Offer) -> None:
        replica_id = self._ids.get(offer.mark) or self._next_id()
        self._ids[offer.mark] = replica_id
        self._marks[replica_id] = offer.mark
        key = Secret(offer.key) if offer.key else None
        self._endpoints[replica_id] = Endpoint(offer.host, offer.port, offer.path_prefix, offer.secure, key)
        self._post(ReplicaOffered(offer.pool, replica_id))

    def _forget(self, mark: str) -> None:
        replica_id = self._ids.pop(mark)
        self._post(ReplicaStopped(replica_id))
        del self._marks[replica_id]
        del self._endpoints[replica_id]
        self._returned.pop(mark, None)


def _counts(load: PoolLoad) -> tuple[int, ...]:
    return load.in_flight, load.waiting, load.batch, load.batch_in_flight, load.useless
