"""Events and effects of a fleet that is more than one process: what others start, hold, lend and ask for.

Law: as in messages.py, of whose `Event` and `Effect` these are a part. Slots that are lent are counted one by one: each is in
one place at a time, and only whoever has it gives it away.
"""

from dataclasses import dataclass
from typing import TypeAlias

from toque.model.condition import FailureCause
from toque.model.ticket import RefusalReason
from toque.model.value import value

# ---- events: what a driver finds -------------------------------------------------------------------------------------


@value
class ReplicaDelayed:
    """The start of a replica waits for something, and may fail for it; `reason` is one sentence for a person."""

    replica_id: int
    cause: FailureCause
    reason: str


@value
class ScalingFrozen:
    """Replicas can be neither started nor ended for this reason; empty: they can again. Those that are there serve on."""

    reason: str


@value
class ReplicasAdopted:
    """So many replicas of this pool run already, left by a predecessor: as many starts of it will find one ready."""

    pool: str
    count: int


FromDriver: TypeAlias = ReplicasAdopted | ScalingFrozen


@dataclass(frozen=True, slots=True)
class Claim:
    """What the record of who leads says: whose it is (empty: nobody's), and how long it holds after each change of it.

    `mark` differs after any change. `turns` is how often it went from one to another.
    """

    holder: str
    lease_s: float
    mark: str
    turns: int = 0


# ---- events of a gateway: what its controller says -------------------------------------------------------------------


@value
class ReplicaOffered:
    """There is a replica of this pool, of which slots may be lent to this gateway. Told again of one that was withdrawn."""

    pool: str
    replica_id: int


@value
class ReplicaWithdrawn:
    """A replica is to take nothing new: its slots go back as they get free."""

    replica_id: int


@value
class SlotsGranted:
    """So many more slots of a replica may be filled here."""

    replica_id: int
    count: int


@value
class SlotsCapped:
    """Of a pool's slots no more than `most` stay here; the others go back, those in use when they get free. None: all stay.

    `for_people`: people wait for them elsewhere, so that batch gives its slots up for them as for people here.
    """

    pool: str
    most: int | None
    for_people: bool = False


@value
class ProspectTold:
    """Why the controller sees no replica of this pool coming soon; None where it does."""

    pool: str
    reason: RefusalReason | None


FromController: TypeAlias = ReplicaOffered | ReplicaWithdrawn | SlotsGranted | SlotsCapped | ProspectTold

# ---- events of a controller: what its gateways say -------------------------------------------------------------------


@value
class PoolLoad:
    """What one gateway has of one pool now: people in flight and waiting, and since how many seconds the first of them waits.

    `batch` are requests of that class, in flight and waiting, `batch_in_flight` the former. `arrivals` are people that came since the last word. `useless`
    are slots it holds of replicas that its breakers are open for.
    """

    in_flight: int = 0
    waiting: int = 0
    waiting_s: float = 0.0
    batch: int = 0
    batch_in_flight: int = 0
    arrivals: int = 0
    useless: int = 0


@value
class GatewayJoined:
    """A gateway is connected, anew or again, and holds so many slots of each replica named: all it holds."""

    gateway: str
    held: tuple[tuple[int, int], ...] = ()


@value
class GatewayLost:
    """The connection to a gateway has ended. It may serve on, so what it holds stays its own."""

    gateway: str


@value
class GatewayDied:
    """It is proven that a gateway is gone, or it took its leave: what it held is free."""

    gateway: str


@value
class LoadReported:
    """What a gateway has of a pool."""

    gateway: str
    pool: str
    load: PoolLoad


@value
class SlotsReturned:
    """A gateway gave slots of a replica back: nothing of its requests is in them any more."""

    gateway: str
    replica_id: int
    count: int


@value
class ReplicaClaimed:
    """The answer to `OfferReplica`: who held slots of this replica before it was known here. They are lent from now on."""

    replica_id: int
    held: tuple[tuple[str, int], ...] = ()


@value
class HoldingsKnown:
    """Every gateway that may hold slots has told, or is proven dead: slots may be lent from now on."""


FromGateways: TypeAlias = (
    GatewayJoined | GatewayLost | GatewayDied | LoadReported | SlotsReturned | ReplicaClaimed | HoldingsKnown
)

# ---- effects ---------------------------------------------------------------------------------------------------------


@value
class ReturnSlots:
    """Give so many slots of a replica back to the controller: nothing is in them."""

    replica_id: int
    count: int


@value
class AskForSlots:
    """Somebody begins to wait here for a slot of this pool: tell the controller at once."""

    pool: str


@value
class OfferReplica:
    """Tell every gateway of a replica that is ready, and answer with `ReplicaClaimed`."""

    pool: str
    replica_id: int


@value
class WithdrawReplica:
    """Tell every gateway that a replica is to take nothing new."""

    replica_id: int


@value
class ForgetReplica:
    """Tell every gateway that nothing is left of a replica."""

    replica_id: int


@value
class GrantSlots:
    """Lend a gateway so many more slots of a replica."""

    gateway: str
    replica_id: int
    count: int


@value
class CapSlots:
    """Let a gateway keep no more than `most` slots of a pool; None: all it has. `for_people` wait for the others."""

    gateway: str
    pool: str
    most: int | None
    for_people: bool = False


ToGateways: TypeAlias = OfferReplica | WithdrawReplica | ForgetReplica | GrantSlots | CapSlots
ToController: TypeAlias = ReturnSlots | AskForSlots
ClusterEffect: TypeAlias = ToController | ToGateways
