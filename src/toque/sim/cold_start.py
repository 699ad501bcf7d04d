"""How long a simulated start takes: constant, lognormal, by quantiles, or as it was measured here.

Law: a draw takes a generator and returns seconds that are finite and not negative.
"""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf, log

from toque.model.errors import ConfigError

Draw = Callable[[random.Random], float]

MODEL_LOADS = ((0.0, 0.0), (0.1, 2.6), (0.5, 22.7), (0.9, 42.0), (0.99, 52.0), (1.0, 79.0))
"""Published quantiles (share, seconds) of 7,531 real loads of diffusion models; below the lowest a straight line from 0."""


def constant(seconds: float) -> Draw:
    """Every start takes the same."""
    return lambda chance: seconds


def lognormal(median_s: float, sigma: float) -> Draw:
    """Half of all starts take less than the median; `sigma` is the deviation of the logarithm."""
    return lambda chance: chance.lognormvariate(log(median_s), sigma)


def quantiles(points: Sequence[tuple[float, float]]) -> Draw:
    """Draw from (share, seconds) in ascending order, from share 0 to 1, straight lines between."""

    def draw(chance: random.Random) -> float:
        share = chance.random()
        for (low, low_s), (high, high_s) in pairwise(points):
            if share <= high:
                return low_s + (share - low) / (high - low) * (high_s - low_s)
        return points[-1][1]

    return draw


def measured(seconds: Sequence[float]) -> Draw:
    """Draw one of the starts that were measured, such as those of the ledger."""
    return lambda chance: chance.choice(seconds)


def parse_cold_start(text: str) -> Draw:
    """Read `30`, `lognormal:30,0.5` (median, sigma), `measured:28,31,40`, or `model-loads`. Raises `ConfigError`."""
    kind, _, numbers = text.partition(":")
    if text == "model-loads":
        return quantiles(MODEL_LOADS)
    try:
        values = [_seconds(part) for part in (numbers or kind).split(",")]
    except ValueError as error:
        raise _refused(text) from error
    if not numbers and len(values) == 1:
        return constant(values[0])
    if kind == "lognormal" and len(values) == 2 and values[0] > 0:
        return lognormal(values[0], values[1])
    if kind == "measured":
        return measured(values)
    raise _refused(text)


def _seconds(part: str) -> float:
    seconds = float(part)
    if not 0 <= seconds < inf:
        raise ValueError(part)
    return seconds


def _refused(text: str) -> ConfigError:
    fix = "give seconds (30), lognormal:MEDIAN,SIGMA, measured:S,S,... or model-loads"
    return ConfigError(f"{text!r} is no cold start", where="--cold-start", fix=fix)
