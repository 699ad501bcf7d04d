"""O15 in virtual time: clients that come again after a refusal, over a pool that cannot serve them all."""

import random
from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop, heappush
from math import ceil

import pytest

from toque.model.messages import Effect, Event, Refuse
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.slots import SlotsProfile

PROFILE = SlotsProfile(slots=4, base_s=0.25)
POOL = PoolSpec(
    "chat", slots=4, replicas=ReplicaBounds(minimum_warm=2, maximum=2), scaling=ScalingSpec("fixed")
)  # line and patience as they are by default
CAPACITY = 2 * 4 / 0.25
CALM_S, BURST_S, AFTER_S = 60.0, 60.0, 120.0
DROP = CALM_S + BURST_S
RETRIES = 2
BACKOFF_S = 0.5
"""As the OpenAI SDK does by default."""


class Persistent:
    """Clients that ask again after a refusal: a workload that watches what becomes of it."""

    def __init__(self, arrivals: list[Arrival]) -> None:
        self.took: list[tuple[float, float]] = []
        """(when a client first asked, seconds until its answer)"""
        self.lost = 0
        self._coming = [(one.at, 0, one.at) for one in arrivals]
        self._asked: dict[float, tuple[int, float]] = {}

    def arrivals(self) -> Iterator[Arrival]:
        while self._coming:
            at, attempt, first_at = heappop(self._coming)
            self._asked[at] = (attempt, first_at)
            yield Arrival(at)

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Follow requests only."""

    def ended(self, request: Request, now: float) -> None:
        attempt, first_at = self._asked.pop(request.arrival.at)
        if not request.refused:
            self.took.append((first_at, now - first_at))
        elif attempt < RETRIES:
            heappush(self._coming, (now + self._again_in_s(attempt) + first_at * 1e-9, attempt + 1, first_at))
        else:
            self.lost += 1

    def _again_in_s(self, attempt: int) -> float:
        return BACKOFF_S * 2**attempt

    def p99_s(self, since: float, until: float) -> float:
        sizes = sorted(took_s for first_at, took_s in self.took if since <= first_at < until)
        return sizes[int(0.99 * len(sizes))]


class Obedient(Persistent):
    """The same, but they come again when Retry-After says, in whole seconds as HTTP has it."""

    _retry_after_s = 0.0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Refuse):
                self._retry_after_s = effect.retry_after_s

    def _again_in_s(self, attempt: int) -> float:
        return ceil(self._retry_after_s)


def wave(chance: random.Random) -> list[Arrival]:
    """Half the capacity, five times it for a minute, half again."""
    arrivals, at = [], 0.0
    while at < DROP + AFTER_S:
        at += chance.expovariate(CAPACITY * (5.0 if CALM_S <= at < DROP else 0.5))
        arrivals.append(Arrival(at))
    return arrivals


def after_the_wave(pool: PoolSpec, kind: type[Persistent] = Persistent) -> Persistent:
    clients = kind(wave(random.Random(15)))
    scenario = Scenario(FleetSpec((pool,), Resources()), clients.arrivals(), PROFILE.replica, constant(0.0))
    Simulation(scenario, [clients]).run()
    return clients


@pytest.mark.parametrize("kind", [Persistent, Obedient])
def test_o15_waits_are_normal_again_within_thirty_seconds_after_five_times_the_capacity(kind: type[Persistent]) -> None:
    clients = after_the_wave(POOL, kind)
    normal_s = clients.p99_s(10.0, CALM_S)
    assert clients.p99_s(CALM_S + 20, DROP) > 5 * normal_s, "it was a burst indeed"
    assert clients.lost > 0
    for since in range(int(DROP) + 30, int(DROP + AFTER_S), 10):
        assert clients.p99_s(since, since + 10) <= 1.5 * normal_s


@pytest.mark.slow
def test_o15_a_line_that_is_never_shortened_keeps_those_waiting_who_come_after_the_wave() -> None:
    standing = replace(POOL, queue=replace(POOL.queue, standing_s=0.0))
    long, short = after_the_wave(standing, Obedient), after_the_wave(POOL, Obedient)
    assert long.p99_s(DROP + 30, DROP + 40) > 10 * short.p99_s(DROP + 30, DROP + 40)
    assert len(short.took) > 0.9 * len(long.took), "and hardly more are answered for it"


def test_o15_a_line_without_end_would_still_be_worked_off_two_minutes_later() -> None:
    endless = replace(POOL, queue=replace(POOL.queue, length_max=10**6, wait_s_max=1e9))
    clients = after_the_wave(endless)
    assert clients.p99_s(DROP + 90, DROP + AFTER_S) > 60, "so the bounds are what does it"
