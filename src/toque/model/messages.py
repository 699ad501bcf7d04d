"""Every event that enters the core and every effect that leaves it, on one page.

Law: events are facts in the past tense, effects are wishes in the imperative; both are values, and a `match` over
either is exhaustive. Times are float seconds of one clock that only the shell (or the simulator) reads.
"""

from typing import TypeAlias

from toque.model.cluster import ClusterEffect, FromController, FromDriver, FromGateways, ReplicaDelayed
from toque.model.condition import BreakerState, FailureCause
from toque.model.decision import Decision
from toque.model.overload import Stage
from toque.model.resources import Resources
from toque.model.spec import FleetSpec
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason, Ticket
from toque.model.value import value

# ---- events: requests ------------------------------------------------------------------------------------------------


@value
class Arrived:
    """A request passed the door and wants a slot."""

    ticket: Ticket


@value
class Finished:
    """The answer is complete. `ttft_s` counts from dispatch to the first token (0: no token was measured).

    `replica_id` says who answered, where two were asked (0: there was one).
    """

    ticket_id: int
    ttft_s: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    replica_id: int = 0


@value
class Failed:
    """The replica did not answer. `began` says that bytes of an answer already went to the client: no retry then.

    `retry_after_s` is what a busy replica asked to be left alone for; 0 when it did not say. `replica_id`: which of two failed,
    where two were asked and the other goes on (0: there was one, or both have failed).
    """

    ticket_id: int
    kind: FailureKind
    began: bool = False
    retry_after_s: float = 0.0
    replica_id: int = 0


@value
class Abandoned:
    """The client left, at whatever stage; its upstream call is closed already."""

    ticket_id: int


@value
class Began:
    """Bytes of an answer go to the client: this request cannot be put back any more. Told of class batch only."""

    ticket_id: int


# ---- events: replicas ------------------------------------------------------------------------------------------------


@value
class ReplicaSpawned:
    """The process exists; it now loads its model."""

    replica_id: int


@value
class ReplicaLoaded:
    """The model is in memory; the replica now warms up."""

    replica_id: int


@value
class ReplicaReady:
    """It answers. `footprint` is what it was measured to take (zero fields: not measured)."""

    replica_id: int
    footprint: Resources = Resources()


@value
class ReplicaFailed:
    """It died or never came up, and nothing of it is left. `reason` is one sentence for a person."""

    replica_id: int
    cause: FailureCause
    reason: str


@value
class ReplicaHealthy:
    """The answer to `ProbeReplica`: it is alive and well."""

    replica_id: int


@value
class ReplicaUnreachable:
    """The answer to `ProbeReplica` where somebody else runs it: it is not gone, but its address cannot be reached now."""

    replica_id: int
    reason: str


@value
class ReplicaStopped:
    """A `StopReplica` is done and nothing of the replica is left."""

    replica_id: int


ReplicaEvent: TypeAlias = (
    ReplicaSpawned
    | ReplicaLoaded
    | ReplicaReady
    | ReplicaFailed
    | ReplicaHealthy
    | ReplicaUnreachable
    | ReplicaDelayed
    | ReplicaStopped
)

# ---- events: time and will -------------------------------------------------------------------------------------------


@value
class Woke:
    """The instant the core asked for with `next_wake()` has come."""


@value
class DrainOrdered:
    """The whole service shall end: take nothing new, finish what is in flight."""


@value
class PressureMeasured:
    """How hard this process is pressed: its memory and open files as shares of what it may have, its loop's lateness."""

    memory_ratio: float
    loop_lag_s: float
    open_files_ratio: float


@value
class SpecChanged:
    """The settings were read anew and hold from now on. `renewed`: pools whose replicas must make way for new ones."""

    spec: FleetSpec
    renewed: tuple[str, ...] = ()


Event: TypeAlias = (
    Arrived
    | Finished
    | Failed
    | Abandoned
    | Began
    | ReplicaEvent
    | FromDriver
    | FromController
    | FromGateways
    | Woke
    | DrainOrdered
    | PressureMeasured
    | SpecChanged
)

# ---- effects ---------------------------------------------------------------------------------------------------------


@value
class Dispatch:
    """Send this ticket to this replica now. `cold_start_s` is how long the pool kept it waiting for one to load."""

    ticket_id: int
    replica_id: int
    cold_start_s: float = 0.0


@value
class Refuse:
    """Tell the client no. `retry_after_s` is the predicted time until a retry may succeed; 0 when it cannot help.

    `fallback` says why no fallback took it, in words for a person; empty where none was set.
    """

    ticket_id: int
    reason: RefusalReason
    retry_after_s: float
    fallback: str = ""


@value
class Divert:
    """Tell whoever waits that another pool takes the ticket from now on; a `Dispatch` there or a `Refuse` follows."""

    ticket_id: int
    pool: str
    cause: FallbackCause
    reason: str


@value
class Hedge:
    """Send this ticket to this replica too: the first one is slow to answer, and whoever answers first counts."""

    ticket_id: int
    replica_id: int


@value
class Preempt:
    """Stop the call of this ticket: it waits again, for its slot goes to somebody; another `Dispatch` or a `Refuse` follows."""

    ticket_id: int


@value
class StartReplica:
    """Order a new replica of this pool from its driver."""

    pool: str
    replica_id: int


@value
class StopReplica:
    """End a replica that serves nobody any more; `reason` is one sentence for a person."""

    replica_id: int
    reason: str


@value
class ProbeReplica:
    """Find out at once whether a replica that lost a call is alive."""

    replica_id: int


@value
class RecordBreaker:
    """Keep that a replica's breaker changed its state, why, and how long it stays (0: until a request shows more)."""

    pool: str
    replica_id: int
    state: BreakerState
    reason: str
    for_s: float = 0.0


@value
class EnterStage:
    """Do from now on only what this stage of overload allows; `reason` is for people, empty when all is well again.

    `keeps_alive`: connections stay open after their answer all the same, for time alone is short.
    """

    stage: Stage
    reason: str
    keeps_alive: bool = True


@value
class RecordDecision:
    """Keep what the scaler saw, wanted and was allowed, so that `toque why` can tell."""

    decision: Decision


Effect: TypeAlias = (
    Dispatch
    | Refuse
    | Divert
    | Hedge
    | Preempt
    | StartReplica
    | StopReplica
    | ProbeReplica
    | EnterStage
    | RecordBreaker
    | RecordDecision
    | ClusterEffect
)
