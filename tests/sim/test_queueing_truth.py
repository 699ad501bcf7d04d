"""Truth: the whole simulator, core included, against queueing theory.

M/M/c against Erlang's formula within 2 %, and a fixed size against the recursion of Kiefer and Wolfowitz (1955), request by
request.
"""

import random
from collections.abc import Iterator
from heapq import heappop, heappush
from math import exp, factorial

import pytest

from tests.sim.world import Memory, fixed, scenario
from toque.sim.arrival import Arrival
from toque.sim.engine import Request, Simulation
from toque.sim.slots import SlotsProfile
from toque.sim.workload.synthetic import Sizes, Source, poisson

REQUESTS = 300_000
MICROSECOND = SlotsProfile(slots=1, prefill_token_s=1e-6)
"""A request takes as many microseconds as it has prompt tokens: service times to order."""


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits; `load` in busy servers."""
    terms = [load**k / factorial(k) for k in range(servers)]
    last = load**servers / factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


class Waits:
    """Sums, not requests: memory stays flat."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.count = self.waited = self.late = 0
        self.total_s = self.service_s = 0.0

    def step(self, *_: object) -> None:
        """Follow requests only."""

    def ended(self, request: Request, now: float) -> None:
        assert request.dispatched_at is not None
        wait_s = request.dispatched_at - request.arrival.at
        self.count += 1
        self.total_s += wait_s
        self.waited += wait_s > 0
        self.late += wait_s > self.limit_s
        self.service_s += now - request.dispatched_at


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "rate"), [(1, 0.5), (3, 1.5), (4, 2.4)])
def test_poisson_arrivals_and_exponential_service_wait_as_erlang_says(servers: int, rate: float) -> None:
    source = Source(REQUESTS / rate, random.Random(servers), Sizes(1e6, 1.0))
    waits = Waits(limit_s=0.4)
    last_at = Simulation(scenario(fixed(servers, 1), poisson(rate, source), MICROSECOND), [waits]).run()
    service_s = (
        waits.service_s / waits.count
    )  # what was drawn, not what was meant: chance in the load is no error of ours
    load = waits.service_s / last_at
    share = erlang_c(servers, load)
    free_s = service_s / (servers - load)
    assert waits.waited / waits.count == pytest.approx(share, rel=0.02)
    assert waits.total_s / waits.count == pytest.approx(share * free_s, rel=0.02)
    assert waits.late / waits.count == pytest.approx(share * exp(-waits.limit_s / free_s), rel=0.02)


def kiefer_wolfowitz(arrivals: list[Arrival], servers: int) -> list[float]:
    """Waits of first come first served: each takes the server that is free first."""
    free_at = [0.0] * servers
    waits = []
    for arrival in arrivals:
        start = max(arrival.at, heappop(free_at))
        waits.append(start - arrival.at)
        heappush(free_at, start + arrival.prompt_tokens * 1e-6)
    return waits


def heavy_traffic(seed: int, servers: int) -> Iterator[Arrival]:
    """Arrivals in clumps, lengths from a heavy tail; 90 % busy."""
    chance = random.Random(seed)
    at = 0.0
    for _ in range(3000):
        at += chance.gammavariate(0.4, 1 / 0.4) * 3.0 / servers / 0.9
        yield Arrival(at, int(1e6 * min(100.0, chance.paretovariate(1.5))))


@pytest.mark.parametrize(("replicas", "slots"), [(1, 1), (4, 1), (2, 4)])
def test_every_single_request_waits_as_long_as_kiefer_and_wolfowitz_say(replicas: int, slots: int) -> None:
    arrivals = list(heavy_traffic(replicas, replicas * slots))
    memory = Memory()
    profile = SlotsProfile(slots, prefill_token_s=1e-6)
    Simulation(scenario(fixed(replicas, slots), arrivals, profile), [memory]).run()
    served = sorted(memory.requests, key=lambda request: request.arrival.at)
    waits = [at - r.arrival.at for r in served if (at := r.dispatched_at) is not None]
    assert waits == pytest.approx(kiefer_wolfowitz(arrivals, replicas * slots), abs=1e-6)
    assert max(waits) > 10, "it was heavy indeed"
