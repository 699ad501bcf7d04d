"""Synthetic traffic: Poisson, gamma renewal, on/off bursts, a daily profile, a flash crowd, a square wave.

Law: each is a generator over a seeded `random.Random` and ends by itself; rates are requests a second, times seconds, and
parameters are named as people write them. What has a changing rate is a Poisson process thinned to that rate (Lewis and
Shedler, 1979).
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi

from toque.sim.arrival import Arrival

DAY_S = 86_400.0
BURSTS = "bursts"
"""The name of the classic demonstration."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of requests: exponential around a mean, at least one token."""

    prompt_tokens: float = 500.0
    output_tokens: float = 100.0

    def draw(self, at: float, chance: random.Random) -> Arrival:
        """Make one arrival."""
        return Arrival(at, _length(self.prompt_tokens, chance), _length(self.output_tokens, chance))


@dataclass(frozen=True, slots=True)
class Source:
    """How long traffic lasts, what its chance is drawn from, and how long its requests are."""

    duration_s: float
    chance: random.Random
    sizes: Sizes = Sizes()

    def draw(self, at: float) -> Arrival:
        """Make one arrival."""
        return self.sizes.draw(at, self.chance)


def poisson(rate: float, source: Source) -> Iterator[Arrival]:
    """Independent arrivals at an even rate."""
    return varying(lambda at: rate, rate, source)


def gamma(rate: float, cv: float, source: Source) -> Iterator[Arrival]:
    """Renewal process with gamma gaps; `cv` is their coefficient of variation (1 is Poisson, above it clumps)."""
    shape = 1 / (cv * cv)
    at = 0.0
    while (at := at + source.chance.gammavariate(shape, 1 / (rate * shape))) < source.duration_s:
        yield source.draw(at)


def on_off(rate: float, on: float, off: float, source: Source) -> Iterator[Arrival]:
    """Poisson at `rate` during exponential bursts of mean `on` s, silence of mean `off` s between them."""
    at = burst_ends = 0.0
    while at < source.duration_s:
        burst_begins = burst_ends + source.chance.expovariate(1 / off)
        burst_ends = burst_begins + source.chance.expovariate(1 / on)
        at = burst_begins
        while (at := at + source.chance.expovariate(rate)) < min(burst_ends, source.duration_s):
            yield source.draw(at)


def daily(mean: float, swing: float, source: Source) -> Iterator[Arrival]:
    """A day's profile: lowest at 4 in the morning (time 0 is midnight); `swing` 0.8 goes from 0.2 to 1.8 of the mean."""
    return varying(
        lambda at: mean * (1 - swing * cos(2 * pi * (at - 4 * 3600) / DAY_S)),
        mean * (1 + swing),
        source,
    )


def flash_crowd(rate: float, peak: float, start: float, fade: float, source: Source) -> Iterator[Arrival]:
    """An even rate, and at `start` a crowd of `peak` requests a second more that fades within `fade` s."""

    def rate_at(at: float) -> float:
        since = at - start
        return rate + (peak * (1 - since / fade) if 0 <= since < fade else 0.0)

    return varying(rate_at, rate + peak, source)


def square(low: float, high: float, period: float, source: Source) -> Iterator[Arrival]:
    """Half a period low, half a period high."""
    return varying(lambda at: high if at % period >= period / 2 else low, max(low, high), source)


def bursts() -> Iterator[Arrival]:
    """The classic demonstration: 50 requests 10 to 50 ms apart, then five 500 ms apart; the gaps are drawn with seed 1."""
    chance = random.Random(1)  # noqa: S311 - the same demonstration for everybody
    at = 0.0
    for number in range(55):
        yield Arrival(at)
        at += chance.uniform(0.010, 0.050) if number < 49 else 0.5


def varying(rate_at: Callable[[float], float], rate_max: float, source: Source) -> Iterator[Arrival]:
    """Poisson at a rate that changes with time and never exceeds `rate_max`."""
    at = 0.0
    while (at := at + source.chance.expovariate(rate_max)) < source.duration_s:
        if source.chance.random() * rate_max < rate_at(at):
            yield source.draw(at)


def _length(mean: float, chance: random.Random) -> int:
    return max(1, round(chance.expovariate(1 / mean)))
