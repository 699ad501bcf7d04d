"""Reshaping of traffic: faster, thinner, cut out, several at once. All of it streams.

Law: what comes out is in order of time again, from 0.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge
from itertools import dropwhile, takewhile

from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival


def sped_up(arrivals: Iterable[Arrival], factor: float) -> Iterator[Arrival]:
    """Let everything arrive `factor` times as fast."""
    return (replace(arrival, at=arrival.at / factor) for arrival in arrivals)


def thinned(arrivals: Iterable[Arrival], share: float, chance: random.Random) -> Iterator[Arrival]:
    """Keep each request with probability `share`."""
    return (arrival for arrival in arrivals if chance.random() < share)


def window(arrivals: Iterable[Arrival], start_s: float, end_s: float) -> Iterator[Arrival]:
    """Cut out `start_s` <= time < `end_s`, and let it begin at 0."""
    late_enough = dropwhile(lambda arrival: arrival.at < start_s, arrivals)
    return (replace(a, at=a.at - start_s) for a in takewhile(lambda arrival: arrival.at < end_s, late_enough))


def mixed(*workloads: Iterable[Arrival]) -> Iterator[Arrival]:
    """Let several arrive side by side."""
    return merge(*workloads, key=lambda arrival: arrival.at)


def as_batch(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Make batch requests of them."""
    return (replace(arrival, service_class=ServiceClass.BATCH) for arrival in arrivals)
