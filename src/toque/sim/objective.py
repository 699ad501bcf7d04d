"""Objectives: what a service promises, as a person writes it: `queue_wait<=2s@99%`, `ttft<=800ms@95%`.

Law: a refused request misses every objective; requests of class `batch` have none, unless nothing else is there.
"""

import re
from dataclasses import dataclass

from toque.model.errors import ConfigError
from toque.sim.engine import Request

MEASURES = ("queue_wait", "ttft")
_TEXT = re.compile(r"\s*(\w+)\s*<=?\s*([\d.]+)\s*(ms|s|m)?\s*@\s*([\d.]+)\s*%\s*", re.ASCII)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level: `measure` (`queue_wait` or `ttft`) of at most `limit_s` for at least `share` of all requests."""

    measure: str = "queue_wait"
    limit_s: float = 2.0
    share: float = 0.99

    def met_by(self, request: Request) -> bool:
        """Whether one request was served within the limit; a refused one was not."""
        at = request.dispatched_at if self.measure == "queue_wait" else request.first_at
        return not request.refused and at is not None and at - request.arrival.at <= self.limit_s

    def misses_allowed(self, requests: int) -> int:
        """How many of so many requests may miss it."""
        return int((1 - self.share) * requests + 1e-9)

    def __str__(self) -> str:
        return f"{self.measure}<={self.limit_s:g}s@{self.share * 100:g}%"


def read_objective(text: str) -> Objective:
    """Read an objective. Raises `ConfigError` for what is none."""
    match = _TEXT.fullmatch(text)
    fix = 'write it like "queue_wait<=2s@99%" or "ttft<=800ms@95%"'
    if match is None or match[1] not in MEASURES:
        raise ConfigError(f"{text!r} is no objective", fix=fix)
    try:
        limit_s, share = float(match[2]) * _UNITS_S[match[3]], float(match[4]) / 100
    except ValueError:
        raise ConfigError(f"{text!r} has a number that is none", fix=fix) from None
    if not 0 < share <= 1:
        raise ConfigError(f"{match[4]} % of all requests is not possible", fix="write a share above 0 % up to 100 %")
    return Objective(match[1], limit_s, share)
