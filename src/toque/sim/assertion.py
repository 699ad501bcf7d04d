"""Assertions for scripts: `p95_ttft<2s`, `rejected<1%`, `plan_ratio<=1.5`.

Law: what can be asserted is what a report prints, under the same name.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from toque.model.errors import ConfigError
from toque.sim.report.document import Figures

_TEXT = re.compile(r"\s*(\w+)\s*(<=|>=|<|>|==)\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|%)?\s*", re.ASCII)
_UNITS: Mapping[str | None, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "%": 0.01, None: 1.0}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
DURATIONS = ("queue_wait", "ttft")
PLACES = ("p50", "p95", "p99", "mean")
PLAIN: Mapping[str, str] = {
    "attainment": "slo_attainment",
    "bound_ratio": "bound_ratio",
    "cold_starts_met": "cold_starts_met",
    "cost": "cost",
    "fairness": "fairness",
    "goodput": "goodput_per_s",
    "plan_ratio": "plan_ratio",
    "rejected": "rejected",
    "replica_hours": "replica_hours",
    "slo_attainment": "slo_attainment",
    "starts": "starts",
    "stops": "stops",
    "utilization": "utilization",
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """A figure, how it is compared, and with what."""

    text: str
    name: str
    sign: str
    limit: float

    def holds(self, figures: Figures) -> bool:
        """Whether the figures of one policy satisfy it."""
        return _COMPARE[self.sign](self.value(figures), self.limit)

    def value(self, figures: Figures) -> float:
        """The figure it is about."""
        place, _, duration = self.name.partition("_")
        if duration in DURATIONS:
            return float(figures[f"{duration}_s"][place])
        return float(figures[PLAIN[self.name]])


def read_assertion(text: str) -> Assertion:
    """Read an assertion. Raises `ConfigError` for what is none."""
    known = [*(f"{place}_{duration}" for duration in DURATIONS for place in PLACES), *PLAIN]
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is no assertion", fix='write it like "p95_ttft<2s" or "rejected<1%"')
    if match[1] not in known:
        raise ConfigError(f"nothing is called {match[1]!r} in {text!r}", fix=f"names are {', '.join(known)}")
    return Assertion(text, match[1], match[2], float(match[3]) * _UNITS[match[4]])
