"""The twin of one replica and its driver: it comes up or does not, serves, hangs, falls ill, dies, stops.

Law: its life is told in order and has one end, as the drivers promise; what it takes along is told before or after that. One
that somebody else runs does not die: it is away for a while.
"""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from tests.scenarios.climate import dice, draw_start, spell_in_s
from toque.model.condition import FailureCause
from toque.model.messages import (
    Event,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
    ReplicaUnreachable,
)
from toque.model.resources import Resources
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind

if TYPE_CHECKING:
    from tests.scenarios.world import World

UNHEALTHY_AFTER_S = 6.0
"""The driver gives a silent replica up after three probes of two seconds."""
ITL_S_MAX = 10.0
"""The gateway gives a call up that fell silent for so long."""
SPELL_S = 8.0
PATIENT_PROBE_S = 0.2


class Twin:
    """One replica, and the calls it has by ticket."""

    def __init__(self, number: int, spec: PoolSpec, world: "World") -> None:
        self.number = number
        self.calls: dict[int, Call] = {}
        self._world = world
        self._is_up = False
        self._is_stopping = False
        self._is_gone = False
        self._is_ours = spec.elastic
        self._hung_until = self._away_until = -inf
        self._ill: tuple[float, FailureKind] = (-inf, FailureKind.ERROR)
        climate = world.schedule.climate
        self._chance = dice(world.schedule.seed, "replica", number)
        start = draw_start(climate, world.schedule.seed, number, spec.footprint.memory_bytes)
        self._pace = start.pace
        self._memory_bytes = start.memory_bytes
        self._early_death_s = start.early_death_s
        timeout_s = spec.replicas.startup_timeout_s
        if world.is_quiet:
            self._come(min(start.coming_s, timeout_s / 2), "", timeout_s)
        else:
            self._come(start.coming_s, start.fails, timeout_s)

    # ---- coming up ---------------------------------------------------------------------------------------------------

    def _come(self, coming_s: float, fails: str, timeout_s: float) -> None:
        later = self._world.later
        if fails == "start_hangs" or coming_s >= timeout_s:
            later(timeout_s, lambda: self._die(FailureCause.START_TIMEOUT, "was not ready in time"))
        elif fails == "start_dies":
            later(coming_s, lambda: self._die(FailureCause.EXITED, "ended while it started"))
        elif fails == "model_invalid":
            later(coming_s, lambda: self._die(FailureCause.INVALID_MODEL, "is no GGUF file"))
        else:
            later(coming_s * 0.1, lambda: self._tell(ReplicaSpawned(self.number)))
            later(coming_s * 0.8, lambda: self._tell(ReplicaLoaded(self.number)))
            later(coming_s, self._be_ready)

    def _be_ready(self) -> None:
        if self._is_gone or self._is_stopping:
            return
        self._is_up = True
        climate, later = self._world.schedule.climate, self._world.later
        later(self._early_death_s, lambda: self._strike("dies"))
        later(spell_in_s(climate.death_every_s, self._chance), lambda: self._strike("dies"))
        later(spell_in_s(climate.hang_every_s, self._chance), lambda: self._strike("hangs"))
        later(spell_in_s(climate.sick_every_s, self._chance), lambda: self._strike("sick"))
        later(spell_in_s(climate.busy_every_s, self._chance), lambda: self._strike("busy"))
        self._tell(ReplicaReady(self.number, Resources(self._memory_bytes)))

    # ---- trouble -----------------------------------------------------------------------------------------------------

    def _strike(self, what: str) -> None:
        if self._is_gone or self._world.is_quiet:
            return
        now = self._world.now
        match what:
            case "dies" if not self._is_ours:
                self._away_until = now + self._chance.choice([0.1, 2.0, 30.0])
                self._lose_calls()
            case "dies":
                cause = self._chance.choice([FailureCause.EXITED, FailureCause.EXITED, FailureCause.OUT_OF_MEMORY])
                self._die(cause, "killed (signal 9)")
            case "hangs":
                self._hang(self._chance.choice([0.5, 4.0, 60.0]))
            case "sick":
                self._ill = (now + SPELL_S, FailureKind.ERROR)
            case _:
                self._ill = (now + SPELL_S, FailureKind.BUSY)

    def _hang(self, length_s: float) -> None:
        self._hung_until = self._world.now + length_s
        if length_s >= UNHEALTHY_AFTER_S and self._is_ours:
            self._world.later(UNHEALTHY_AFTER_S, lambda: self._die(FailureCause.UNHEALTHY, "did not answer its probes"))

    def _die(self, cause: FailureCause, reason: str) -> None:
        """Be gone; what it had is told as lost before, after, or a little after that."""
        if self._is_gone:
            return
        self._is_gone = True
        order = self._chance.randint(1, 3)
        if order == 1:
            self._lose_calls()
        end = ReplicaStopped(self.number) if self._is_stopping else ReplicaFailed(self.number, cause, reason)
        self._world.report(end)
        self._world.later(0.0 if order == 2 else 0.2, self._lose_calls)

    def _lose_calls(self) -> None:
        for ticket_id in list(self.calls):
            self._world.fail(ticket_id, FailureKind.LOST)

    # ---- orders ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End some time soon, with whatever it still has; a few die of it."""
        self._is_stopping = True
        self._world.later(self._chance.choice([0.0, 0.1, 2.0]), self._stopped)

    def _stopped(self) -> None:
        is_loud = self._chance.random() < 0.1
        self._is_stopping = not is_loud
        self._die(FailureCause.EXITED, "killed while it stopped")

    def probe(self) -> None:
        """Answer when it can; if it never can, its end is the answer."""
        if self._is_gone:
            return
        if self._hung_until > self._world.now and self._is_ours:
            self._world.at(self._hung_until, self.probe)
        elif self._away_until > self._world.now:
            self._world.later(PATIENT_PROBE_S, lambda: self._tell(ReplicaUnreachable(self.number, "it is away")))
        else:
            self._world.later(PATIENT_PROBE_S, lambda: self._tell(ReplicaHealthy(self.number)))

    def _tell(self, event: Event) -> None:
        if not self._is_gone and not self._is_stopping:
            self._world.report(event)

    # ---- calls -------------------------------------------------------------------------------------------------------

    def begin(self, ticket_id: int, prefill_s: float, decode_s: float) -> None:
        """Take a call; one that is gone refuses it, one that is ill says so, one that hangs says nothing."""
        assert self._is_up, f"replica {self.number} was never ready"
        call = self.calls[ticket_id] = Call(decode_s * self._pace)
        if self._is_gone or self._away_until > self._world.now:
            self._then(0.0, ticket_id, call, lambda: self._world.fail(ticket_id, FailureKind.NOT_SENT))
        elif self._ill[0] > self._world.now:
            kind = self._ill[1]
            self._then(0.02, ticket_id, call, lambda: self._world.fail(ticket_id, kind))
        else:
            self._then(prefill_s * self._pace, ticket_id, call, lambda: self._first_token(ticket_id, call))

    def leave(self, ticket_id: int) -> None:
        """The call is over, however."""
        del self.calls[ticket_id]

    def _first_token(self, ticket_id: int, call: "Call") -> None:
        call.began = True
        self._world.began(ticket_id)
        self._then(call.decode_s, ticket_id, call, lambda: self._world.finish(ticket_id))

    def _then(self, after_s: float, ticket_id: int, call: "Call", then: Callable[[], None]) -> None:
        """What a call does next, unless it is over by then; a hang delays it, and a long silence ends it."""

        def due() -> None:
            silent_s = self._hung_until - self._world.now
            if self.calls.get(ticket_id) is not call:
                return
            if silent_s <= 0:
                then()
            elif call.began and silent_s > ITL_S_MAX:
                self._world.later(ITL_S_MAX, lambda: self._give_up(ticket_id, call))
            else:
                self._world.at(self._hung_until, due)

        self._world.later(after_s, due)

    def _give_up(self, ticket_id: int, call: "Call") -> None:
        if self.calls.get(ticket_id) is call:
            self._world.fail(ticket_id, FailureKind.TIMEOUT)


class Call:
    """One call: how long it decodes, and whether its first token came."""

    __slots__ = ("began", "decode_s")

    def __init__(self, decode_s: float) -> None:
        self.decode_s = decode_s
        self.began = False
