"""The world around the core while a schedule runs: clients, calls, replicas and a timer, in virtual time.

Law: it does what a shell may do and no more. Nothing of what it does happens within the step that asked for it; whatever
hangs ends some time, as the drivers and the gateway see to it; and in the end trouble stops and it goes on until calm.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import assert_never

from tests.scenarios.climate import dice, draw_call, happens
from tests.scenarios.laws import Laws
from tests.scenarios.schedule import LONGEST_S, Client, Schedule, Squeeze
from tests.scenarios.twin import Twin
from toque.core.fallback import WaysOut
from toque.core.fleet import Fleet
from toque.model.messages import (
    Abandoned,
    Arrived,
    Began,
    Dispatch,
    Divert,
    DrainOrdered,
    Effect,
    EnterStage,
    Event,
    Failed,
    Finished,
    Hedge,
    Preempt,
    PressureMeasured,
    ProbeReplica,
    RecordBreaker,
    RecordDecision,
    Refuse,
    SpecChanged,
    StartReplica,
    StopReplica,
    Woke,
)
from toque.model.overload import Stage
from toque.model.ticket import FailureKind, ServiceClass, Ticket

TTFT_S_MAX = 20.0
"""The gateway gives a call up that said nothing for so long."""
CALM_S = 4000.0
"""After the last trouble: longer than all windows, delays and back-offs; Ray Serve takes 600 s for each replica less."""
STEPS_MAX = 20_000
PRESSURE_INTERVAL_S = 0.25
AFTER_SQUEEZE_S = 8.0
"""The gateway goes on measuring; after so long, or a little longer after a gap, it is calm again by every limit."""


class World:
    """One run of a schedule. Raises AssertionError at the first step that breaks a law."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.fleet = Fleet(schedule.spec, 0.0)
        self.laws = Laws(self.fleet)
        self.now = 0.0
        self.steps = 0
        self._order = count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._clients = {client.number: client for client in schedule.clients}
        self._attempts: dict[int, int] = {}
        self._twins: dict[int, Twin] = {}
        self._calls: dict[int, Twin] = {}
        """Ticket -> where its last call went."""
        self._gaps = list(schedule.gaps)
        self._late_wake: tuple[float, float] = (inf, inf)
        self._last: deque[tuple[float, Event, list[Effect]]] = deque(maxlen=0)

    def remember(self, steps: int) -> deque[tuple[float, Event, list[Effect]]]:
        """Return what will hold the last so many steps of the run."""
        self._last = deque(maxlen=steps)
        return self._last

    def run(self) -> None:
        """From the first wake to calm."""
        self.post(Woke())
        for client in self.schedule.clients:
            self.at(client.at, partial(self._arrive, client))
        if self.schedule.drain_at < inf:
            self.at(self.schedule.drain_at, lambda: self.post(DrainOrdered()))
        for reload in self.schedule.reloads:
            self.at(reload.at, partial(self.post, SpecChanged(reload.spec, reload.renewed)))
        for squeeze in self.schedule.squeezes:
            self.at(squeeze.at, partial(self._measure, squeeze))
        self._go_on_until(max(LONGEST_S, *(gap.at + gap.length_s for gap in self.schedule.gaps), 0.0))
        while self.laws.open:
            due = self._due()
            assert due < inf, f"{sorted(self.laws.open)} wait and nothing will ever happen"
            self._go_on_until(due)
        self._go_on_until(self.now + CALM_S)
        self.laws.check_calm(self.now)

    # ---- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Plan something."""
        heappush(self._heap, (when, next(self._order), call))

    def later(self, after_s: float, call: Callable[[], None]) -> None:
        """Plan something for a while from now; inf: never."""
        if after_s < inf:
            self.at(self.now + after_s, call)

    @property
    def is_quiet(self) -> bool:
        """Whether the time of troubles is over."""
        return self.now >= LONGEST_S

    def _due(self) -> float:
        return min(self._heap[0][0] if self._heap else inf, self._wake_at())

    def _go_on_until(self, end: float) -> None:
        while (due := self._due()) <= end:
            if self._gaps and due >= self._gaps[0].at:
                gap = self._gaps.pop(0)
                due = max(due, gap.at + gap.length_s)
            self.now = max(self.now, due)
            if self._heap and self._heap[0][0] <= self._wake_at():
                heappop(self._heap)[2]()
            else:
                self._late_wake = (inf, inf)
                self.post(Woke())
        self.now = max(self.now, end)

    def _wake_at(self) -> float:
        """When the timer fires: at the core's own instant, or some time after it."""
        asked = self.fleet.next_wake()
        if asked != self._late_wake[0]:
            chance = dice(self.schedule.seed, "timer", self.steps)
            is_late = not self.is_quiet and happens(self.schedule.climate.timer_late_ratio, chance)
            self._late_wake = (asked, asked + (chance.choice([0.001, 0.5, 5.0]) if is_late else 0.0))
        return self._late_wake[1]

    # ---- steps -------------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """One step of the core, under all laws."""
        self.steps += 1
        assert self.steps <= STEPS_MAX, "it never comes to rest"
        self.laws.before(event)
        effects = self.fleet.handle(event, self.now)
        self._last.append((self.now, event, effects))
        self.laws.after(event, effects, self.now)
        for effect in effects:
            self._carry_out(effect)

    def report(self, event: Event) -> None:
        """One step, and sometimes the same word once more, late."""
        self.post(event)
        chance = dice(self.schedule.seed, "echo", self.steps)
        if not self.is_quiet and happens(self.schedule.climate.echo_ratio, chance):
            self.later(chance.choice([0.0, 0.1, 5.0]), lambda: self.post(event))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Dispatch(ticket_id, replica_id):
                self._call(ticket_id, self._twins[replica_id])
            case Preempt(ticket_id):
                self._calls[ticket_id].leave(ticket_id)
            case StartReplica(pool, replica_id):
                spec = self.fleet.pools[pool].spec
                self._twins[replica_id] = Twin(replica_id, spec, self)
            case StopReplica(replica_id):
                self._twins[replica_id].stop()
            case ProbeReplica(replica_id):
                self._twins[replica_id].probe()
            case Refuse() | RecordDecision() | RecordBreaker() | Divert() | EnterStage() | Hedge():
                pass
            case _:
                assert_never(effect)

    def _measure(self, squeeze: Squeeze) -> None:
        """Tell the pressure and look again soon, until it has been gone for a while."""
        share = max(0.0, 1.0 - abs(2 * (self.now - squeeze.at) / squeeze.length_s - 1))  # up, and down again
        seen = {"memory": 0.4, "loop": 0.0, "files": 0.1}
        seen[squeeze.kind] = max(seen[squeeze.kind], squeeze.height * min(1.0, 2 * share))
        self.post(PressureMeasured(seen["memory"], seen["loop"], seen["files"]))
        if self.now < squeeze.at + squeeze.length_s + AFTER_SQUEEZE_S or self.laws.stage is not Stage.NORMAL:
            self.later(PRESSURE_INTERVAL_S, partial(self._measure, squeeze))

    # ---- clients and calls -------------------------------------------------------------------------------------------

    def _arrive(self, client: Client) -> None:
        service_class = ServiceClass.BATCH if client.is_batch else ServiceClass.INTERACTIVE
        deadline = self.now + client.patience_s
        leaves = happens(self.schedule.climate.client_leaves_ratio, dice(self.schedule.seed, "client", client.number))
        self.later(client.leaves_after_s if leaves else inf, lambda: self._leave(client.number))
        self.at(deadline, lambda: self._too_late(client.number))
        ways_out = WaysOut(self.fleet.spec.pools).of(client.pool, may_leave=client.may_leave)
        tenant, priority = ("", "alice", "bob")[client.number % 3], (3, 3, 0, 7)[client.number % 4]
        ticket = Ticket(
            client.number, client.pool, deadline, service_class, tenant, fallbacks=ways_out, priority=priority
        )
        self.post(Arrived(ticket))

    def _leave(self, number: int) -> None:
        if number in self.laws.open:
            self._close(number)
            self.report(Abandoned(number))

    def _too_late(self, number: int) -> None:
        """The gateway ends calls whose deadline passes; what still waits is the core's to refuse."""
        if self.laws.open.get(number) is not None:
            self._leave(number)

    def _call(self, number: int, twin: Twin) -> None:
        attempt = self._attempts[number] = self._attempts.get(number, 0) + 1
        call = draw_call(self.schedule.climate, self.schedule.seed, number, attempt)
        client = self._clients[number]
        self._calls[number] = twin
        twin.begin(number, client.prefill_s, client.decode_s)
        if not self.is_quiet:
            self.later(
                call.cut_after_s, lambda: self._if_current(number, attempt, lambda: self.fail(number, call.kind))
            )
        self.later(TTFT_S_MAX, lambda: self._if_current(number, attempt, lambda: self._silent(number)))

    def _if_current(self, number: int, attempt: int, then: Callable[[], None]) -> None:
        if self.laws.open.get(number) is not None and self._attempts[number] == attempt:
            then()

    def _silent(self, number: int) -> None:
        call = self._calls[number].calls.get(number)
        if call is not None and not call.began:
            self.fail(number, FailureKind.TIMEOUT)

    def fail(self, number: int, kind: FailureKind) -> None:
        """The call ends without its answer."""
        began = self._calls[number].calls[number].began and self._is_seen(number)
        self._close(number)
        event = Failed(number, kind, began, self._asked_for_peace_s(number, kind))
        if began:
            self.report(event)
        else:  # a second word would be one about the next attempt
            self.post(event)

    def _asked_for_peace_s(self, number: int, kind: FailureKind) -> float:
        """What a busy replica says in Retry-After, if anything."""
        if kind is not FailureKind.BUSY:
            return 0.0
        return dice(self.schedule.seed, "peace", number).choice([0.0, 1.0, 5.0, 1000.0])

    def finish(self, number: int) -> None:
        """The answer is complete."""
        client = self._clients[number]
        self._close(number)
        self.report(Finished(number, max(client.prefill_s, 0.001), 16, 1 + int(10 * client.decode_s)))

    def began(self, number: int) -> None:
        """The first token is there; of a batch request the core is told, if its client sees it."""
        if self._clients[number].is_batch and self._is_seen(number):
            self.report(Began(number))

    def _is_seen(self, number: int) -> bool:
        """Whether the client sees the answer while it comes: people do, and every fourth batch request is a stream."""
        return not self._clients[number].is_batch or number % 4 == 0

    def _close(self, number: int) -> None:
        """End the call of a request, if it has one."""
        replica_id = self.laws.open[number]
        if replica_id is not None:
            self._twins[replica_id].leave(number)
