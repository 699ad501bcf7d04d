"""The actuator carries effects out: it tells waiters and orders drivers.

Law: it decides nothing. What comes of an effect returns as an event; a driver that cannot even begin is an event too.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

from toque.model.agent_spec import ModelSpec
from toque.model.cluster import (
    AskForSlots,
    CapSlots,
    ClusterEffect,
    ForgetReplica,
    GrantSlots,
    OfferReplica,
    ReturnSlots,
    WithdrawReplica,
)
from toque.model.condition import FailureCause
from toque.model.errors import ToqueError
from toque.model.messages import (
    Dispatch,
    Divert,
    Effect,
    EnterStage,
    Event,
    Hedge,
    Preempt,
    ProbeReplica,
    RecordBreaker,
    RecordDecision,
    Refuse,
    ReplicaFailed,
    StartReplica,
    StopReplica,
)
from toque.model.ticket import FallbackCause, RefusalReason
from toque.ports import Driver


class Waiter(Protocol):
    """Whoever waits for a ticket. Called on the event loop; what it posts in return is the next step."""

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        """A slot on this replica is yours: send the request now. After a retry this is called again."""

    def diverted(self, pool: str, cause: FallbackCause) -> None:
        """Another pool takes the ticket: a grant there, or the refusal, follows."""

    def seconded(self, replica_id: int) -> None:
        """A slot on this replica is yours too: whoever answers first counts. Only for tickets with `whole_tokens_max`."""

    def preempted(self) -> None:
        """Your slot goes to somebody else: close the call; a grant, or the refusal, follows. Only for class batch."""

    def refused(self, reason: RefusalReason, retry_after_s: float, fallback: str) -> None:
        """There will be no slot; nothing more is called for this ticket. `fallback`: why no other pool took it, if any may."""


class Actuator:
    """Waiters by ticket, drivers by pool and by replica."""

    def __init__(self, report: Callable[[Event], None], ordered: Callable[[str, int], None]) -> None:
        self._report = report
        self._ordered = ordered
        self.waiters: dict[int, Waiter] = {}
        """Who waits for which ticket, or has its slot. Whoever hands a ticket in enters it, and strikes it at its end."""
        self._drivers: Mapping[str, tuple[Driver, ModelSpec]] = {}
        self._driver_of: dict[int, Driver] = {}
        self._staged: Callable[[EnterStage], None] = lambda _: None
        self._decided: Callable[[], None] = lambda: None
        self._unheard: list[ClusterEffect] = []
        self._lent: Callable[[ClusterEffect], None] = self._unheard.append

    def open(self, drivers: Mapping[str, tuple[Driver, ModelSpec]]) -> None:
        """Learn which driver runs which pool's replicas."""
        self._drivers = drivers

    def obey(self, staged: Callable[[EnterStage], None]) -> None:
        """Learn whom to tell of a stage of overload."""
        self._staged = staged

    def announce(self, decided: Callable[[], None]) -> None:
        """Learn whom to tell that there is a new decision."""
        self._decided = decided

    def lend(self, lent: Callable[[ClusterEffect], None]) -> None:
        """Learn whom to tell of slots that are lent, asked for or given back; what was wished before is told now."""
        self._lent = lent
        while self._unheard:
            lent(self._unheard.pop(0))

    def found(self, pool: str, replica_id: int) -> None:
        """Somebody else started a replica: its pool's driver knows where it is."""
        if pool in self._drivers:
            self._driver_of[replica_id] = self._drivers[pool][0]

    def driver_of(self, replica_id: int) -> Driver | None:
        """Return the driver that runs a replica; None for one that is gone."""
        return self._driver_of.get(replica_id)

    def carry_out(self, effect: Effect) -> None:
        """Do one effect."""
        match effect:
            case Dispatch():  # no pattern takes its fields out: that costs 0.2 us
                self.waiters[effect.ticket_id].granted(effect.replica_id, effect.cold_start_s)
            case Hedge() | Preempt() | Refuse() | Divert():
                self._tell(effect)
            case StartReplica() | StopReplica() | ProbeReplica():
                self._order(effect)
            case EnterStage():
                self._staged(effect)
            case RecordDecision():
                self._decided()
            case RecordBreaker():
                pass  # the journal has it
            case (
                ReturnSlots()
                | AskForSlots()
                | OfferReplica()
                | WithdrawReplica()
                | ForgetReplica()
                | GrantSlots()
                | CapSlots()
            ):
                self._lent(effect)
            case _:
                assert_never(effect)

    def _tell(self, effect: Hedge | Preempt | Refuse | Divert) -> None:
        match effect:
            case Hedge(ticket_id, replica_id):
                self.waiters[ticket_id].seconded(replica_id)
            case Preempt(ticket_id):
                self.waiters[ticket_id].preempted()
            case Refuse(ticket_id, reason, retry_after_s, fallback):
                self.waiters.pop(ticket_id).refused(reason, retry_after_s, fallback)
            case Divert(ticket_id, pool, cause):
                self.waiters[ticket_id].diverted(pool, cause)
            case _:
                assert_never(effect)

    def _order(self, effect: StartReplica | StopReplica | ProbeReplica) -> None:
        match effect:
            case StartReplica(pool, replica_id):
                self._start(pool, replica_id)
            case StopReplica(replica_id):
                self._driver_of[replica_id].stop(replica_id)
            case ProbeReplica(replica_id):
                self._driver_of[replica_id].probe(replica_id)
            case _:
                assert_never(effect)

    def gone(self, replica_id: int) -> None:
        """Nothing is left of a replica."""
        self._driver_of.pop(replica_id, None)

    def _start(self, pool: str, replica_id: int) -> None:
        driver, model = self._drivers[pool]
        self._driver_of[replica_id] = driver
        self._ordered(pool, replica_id)
        try:
            driver.start(replica_id, model)
        except ToqueError as error:
            self._report(ReplicaFailed(replica_id, FailureCause.INVALID_MODEL, error.message))
