"""The simulator: the production core in virtual time, with a twin of the actuator that turns effects into later events.

Law: no clock, no event loop; chance comes from one seeded generator; the same scenario gives the same steps. Memory does
not grow with the length of the workload. Of several things at one instant arrivals come first, then what was planned first,
then the core's own wake.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from toque.core.fallback import WaysOut
from toque.core.fleet import Fleet
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.cluster import ClusterEffect
from toque.model.messages import (
    Arrived,
    Dispatch,
    Divert,
    Effect,
    EnterStage,
    Event,
    Failed,
    Finished,
    Hedge,
    Preempt,
    ProbeReplica,
    RecordBreaker,
    RecordDecision,
    Refuse,
    StartReplica,
    StopReplica,
    Woke,
)
from toque.model.spec import FleetSpec
from toque.model.ticket import FailureKind, Ticket
from toque.sim.arrival import Arrival
from toque.sim.backlog import Backlog, Job
from toque.sim.clockwork import Clockwork
from toque.sim.driver import SimulatedDriver
from toque.sim.faults import Faults
from toque.sim.replica import ReplicaFactory


class Watcher(Protocol):
    """Follows a simulation: measures, draws, or records it."""

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """One step of the core."""
        ...

    def ended(self, request: "Request", now: float) -> None:
        """One request ended, served or refused."""
        ...


@dataclass(slots=True)
class Request:
    """One request under way. Times are virtual seconds; None: not yet.

    `refused` says why it got no answer, or only half of one (`lost` with its replica); empty for one that was served.
    `fallback` is the pool that took it instead of the one it asked for; `preemptions` counts how often its slot was taken away;
    `second_id` is the other replica while it is hedged. Who wants an answer whole has its first token with its last.
    """

    arrival: Arrival
    dispatched_at: float | None = None
    first_at: float | None = None
    refused: str = ""
    replica_id: int = 0
    cold_start_s: float = 0.0
    fallback: str = ""
    preemptions: int = 0
    second_id: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A workload meeting a fleet. `cold_start_s` draws the seconds of one start (`sim/cold_start.py`).

    `replica` makes replicas of every pool that `replicas` has no maker of its own for. `patience_s` after its arrival a
    request that still waits is given up. With `initial` so many replicas of the first pool are ready when time begins;
    without, every pool orders its minimum warm then. `backlog` lies behind the arrivals of the first pool.
    """

    spec: FleetSpec
    arrivals: Iterable[Arrival]
    replica: ReplicaFactory
    cold_start_s: Callable[[random.Random], float]
    seed: int = 0
    patience_s: float = 600.0
    policies: PolicyTable = field(default_factory=lambda: POLICIES)
    faults: Faults = field(default_factory=Faults)
    replicas: Mapping[str, ReplicaFactory] = field(default_factory=dict)
    initial: int = 0
    backlog: Backlog = field(default_factory=lambda: Backlog(Job()))


class Simulation:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, watchers: Iterable[Watcher]) -> None:
        pools = scenario.spec.pools
        self._scenario = scenario
        self._watchers = list(watchers)
        self._chance = random.Random(scenario.seed)  # noqa: S311 - reproducible on purpose
        self._clock = Clockwork()
        self._fleet = Fleet(scenario.spec, 0.0, scenario.policies)
        self._first_pool = pools[0].name
        self._ways = WaysOut(pools)
        self._requests: dict[int, Request] = {}
        self._number = 0
        self._backlog = scenario.backlog
        self._backlog.open(self._fleet.pools[self._first_pool].supply.roster)
        self._has_begun = False
        timeouts_s = {pool.name: pool.replicas.startup_timeout_s for pool in pools}
        self._driver = SimulatedDriver(self._clock, self._chance, scenario.faults, timeouts_s, self)

    @property
    def fleet(self) -> Fleet:
        """The core, for those who look at it between steps."""
        return self._fleet

    def run(self, progress: Callable[[float], None] = lambda now: None, until: float = 0.0) -> float:
        """Run until the last request has ended, and at least to `until`; return the virtual time of the last step.

        `progress` is told the time of every arrival.
        """
        self._open()
        arrivals: Iterator[Arrival] = iter(self._scenario.arrivals)
        upcoming, backlog = next(arrivals, None), self._backlog
        while upcoming is not None or self._requests or backlog.left or self._due() <= until:
            planned_at, wake_at = self._clock.next_at(), self._fleet.next_wake()
            next_at, item_at = min(planned_at, wake_at), backlog.due(self._clock.now)
            if upcoming is not None and upcoming.at <= next_at and upcoming.at <= item_at:
                self._clock.now = max(self._clock.now, upcoming.at)
                self._arrive(upcoming)
                progress(upcoming.at)
                upcoming = next(arrivals, None)
            elif item_at <= next_at:
                self._clock.now = item_at
                self._arrive(backlog.take(self._number + 1, item_at))
            elif planned_at <= wake_at:
                assert planned_at < inf, "requests are under way and nothing will ever happen"
                self._clock.turn()
            else:
                self._clock.now = max(self._clock.now, wake_at)
                self.post(Woke())
        return self._clock.now

    def _due(self) -> float:
        return min(self._clock.next_at(), self._fleet.next_wake())

    def _open(self) -> None:
        if self._scenario.initial:
            self._fleet.pools[self._first_pool].supply.target = self._scenario.initial
        self.post(Woke())
        self._has_begun = True

    # ---- events ------------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> None:
        """Take an event to the core and carry its effects out."""
        now = self._clock.now
        effects = self._fleet.handle(event, now)
        if self._backlog.is_open:
            self._backlog.step(now, event, effects)
        for watcher in self._watchers:
            watcher.step(now, event, effects)
        for effect in effects:
            self._carry_out(effect)

    def served(self, replica_id: int, number: int, is_end: bool) -> None:  # noqa: FBT001 - a model's report, passed on as it is
        """Note a request's first token, or end it; of two replicas the first to answer counts, and the other is let go."""
        request = self._requests[number]
        if not is_end:
            if not request.arrival.is_whole:
                request.first_at = self._clock.now
            return
        winner_id = 0
        if request.second_id:
            winner_id = replica_id
            self._driver.leave(request.second_id if replica_id == request.replica_id else request.replica_id, number)
        self._end(number, request)
        ttft_s = (request.first_at or self._clock.now) - (request.dispatched_at or 0.0)
        arrival = request.arrival
        self.post(Finished(number, ttft_s, arrival.prompt_tokens, arrival.output_tokens, winner_id))

    def lost(self, replica_id: int) -> None:
        """Fail what a replica took with it; what had not begun to answer may be tried again by the core."""
        mine = [(n, r) for n, r in self._requests.items() if replica_id in {r.replica_id, r.second_id}]
        for number, request in mine:
            began = request.first_at is not None
            if request.second_id:
                self._lose_one(number, request, replica_id)
                continue
            if began:
                request.refused = FailureKind.LOST.value
                self._end(number, request)
            else:
                request.dispatched_at, request.replica_id = None, 0
            self.post(Failed(number, FailureKind.LOST, began))

    def _lose_one(self, number: int, request: Request, replica_id: int) -> None:
        """One of the two replicas of a hedged request is gone: the other goes on."""
        if replica_id == request.replica_id:
            request.replica_id = request.second_id
        request.second_id = 0
        self.post(Failed(number, FailureKind.LOST, replica_id=replica_id))

    def _arrive(self, arrival: Arrival) -> None:
        self._number = number = self._number + 1
        self._requests[number] = Request(arrival)
        deadline = arrival.at + self._scenario.patience_s
        pool = arrival.pool or self._first_pool
        ticket = Ticket(
            number,
            pool,
            deadline,
            arrival.service_class,
            arrival.tenant,
            self._ways.of(pool, may_leave=True),
            arrival.output_tokens if arrival.is_whole else 0,
            priority=arrival.priority,
            prompt_tokens=arrival.prompt_tokens,
            share=arrival.share,
        )
        self.post(Arrived(ticket))

    def _end(self, number: int, request: Request) -> None:
        del self._requests[number]
        for watcher in self._watchers:
            watcher.ended(request, self._clock.now)

    # ---- effects -----------------------------------------------------------------------------------------------------

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Dispatch(number, replica_id, cold_start_s):
                self._dispatch(number, replica_id, cold_start_s)
            case Refuse(number, reason):
                request = self._requests[number]
                request.refused = reason.value
                self._end(number, request)
            case Preempt(number):
                self._preempt(number)
            case Divert(number, pool):
                self._requests[number].fallback = pool
            case Hedge(number, replica_id):
                self._requests[number].second_id = replica_id
                self._begin(number, replica_id)
            case EnterStage() | RecordDecision() | RecordBreaker():
                pass
            case _:
                self._order(effect)

    def _order(self, effect: StartReplica | StopReplica | ProbeReplica | ClusterEffect) -> None:
        match effect:
            case StartReplica(pool, replica_id):
                factory = self._scenario.replicas.get(pool, self._scenario.replica)
                is_there = self._scenario.initial and not self._has_begun
                cold_start_s = 0.0 if is_there else self._scenario.cold_start_s(self._chance)
                self._driver.start(pool, replica_id, cold_start_s, factory)
            case StopReplica(replica_id):
                self._driver.stop(replica_id)
            case ProbeReplica(replica_id):
                self._driver.probe(replica_id)
            case _:  # there is one gateway here, and its replicas are its own
                raise AssertionError(effect)

    def _preempt(self, number: int) -> None:
        """Stop a request where it is: it has neither begun nor a replica."""
        request = self._requests[number]
        self._driver.leave(request.replica_id, number)
        if request.second_id:
            self._driver.leave(request.second_id, number)
        request.dispatched_at = request.first_at = None
        request.replica_id = request.second_id = 0
        request.preemptions += 1

    def _dispatch(self, number: int, replica_id: int, cold_start_s: float) -> None:
        request = self._requests[number]
        request.dispatched_at = self._clock.now
        request.replica_id = replica_id
        request.cold_start_s = cold_start_s
        self._begin(number, replica_id)

    def _begin(self, number: int, replica_id: int) -> None:
        arrival = self._requests[number].arrival
        self._driver.begin(replica_id, number, arrival.prompt_tokens, arrival.output_tokens)
