"""Tenants beside each other, and large requests among short ones, in the simulator."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from heapq import merge

from tests.sim.world import Memory, fixed, scenario
from toque.sim.arrival import Arrival
from toque.sim.engine import Simulation
from toque.sim.slots import SlotsProfile

SPAN_S = 120.0
SECOND = SlotsProfile(slots=4, base_s=1.0)


def stream(tenant: str, rate: float, prompt: int = 100, output: int = 50) -> Iterator[Arrival]:
    """Arrivals by chance, which is seeded by the name of the tenant."""
    chance, at = random.Random(tenant), 0.0
    while (at := at + chance.expovariate(rate)) < SPAN_S:
        yield Arrival(at, prompt, output, tenant)


def jain(amounts: list[int]) -> float:
    return sum(amounts) ** 2 / (len(amounts) * sum(amount * amount for amount in amounts))


def test_o08_ten_tenants_of_unequal_appetite_are_served_alike() -> None:
    streams = [stream(str(number), 0.6 * number) for number in range(1, 11)]
    memory = Memory()
    Simulation(scenario(fixed(1, 4), merge(*streams, key=lambda one: one.at), SECOND), [memory]).run()
    served = Counter(one.arrival.tenant for one in memory.requests if one.dispatched_at and one.dispatched_at < SPAN_S)
    assert len(served) == 10
    assert jain(list(served.values())) >= 0.95


def p99_wait_of_short_ones(large_tokens_max: int) -> float:
    """Seconds; one prompt of 32,000 tokens takes 32 s, so large ones alone would fill the four slots and more."""
    pool = fixed(1, 4)
    pool = replace(pool, queue=replace(pool.queue, large_tokens_max=large_tokens_max))
    arrivals = merge(stream("", 2.0), stream("", 0.2, prompt=32_000), key=lambda one: one.at)
    memory = Memory()
    Simulation(scenario(pool, arrivals, SlotsProfile(slots=4, prefill_token_s=0.001)), [memory]).run()
    short = [one for one in memory.requests if one.arrival.prompt_tokens == 100]
    assert len(memory.requests) > len(short) > 200, "all are served, the large ones too"
    waits_s = sorted((one.dispatched_at or 0.0) - one.arrival.at for one in short)
    return waits_s[len(waits_s) * 99 // 100]


def test_o09_short_requests_do_not_wait_behind_prompts_of_32000_tokens() -> None:
    assert p99_wait_of_short_ones(0) > 20.0
    assert p99_wait_of_short_ones(40_000) < 0.5
