"""From measured requests to a slots profile: least squares, and how far the result is from requests it has not seen.

Law: pure and deterministic. Every `HELD_OUT_EVERY`th request is kept out of the fit and only judges it. Squares are of
relative errors, so that a short answer counts as much as a long one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from toque.model.value import value
from toque.sim.slots import SlotsProfile

HELD_OUT_EVERY = 4
SERVED_MIN = 8
"""Fewer measured requests give no profile: two lines have four parameters."""
_ROUNDS = 6
_TINY_S = 1e-9


@value
class Served:
    """One measured request. Times are seconds from its dispatch; `busy` is the mean of busy slots while it decoded."""

    prompt_tokens: int
    output_tokens: int
    ttft_s: float
    service_s: float
    busy: float


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative errors (0.1 is 10 %) of predictions: the one in the middle, and that which nine of ten do not exceed."""

    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A profile and what it is worth: errors over the requests that were held out."""

    profile: SlotsProfile
    ttft: Errors
    service: Errors
    fitted: int
    held_out: int


def fit_slots(served: Sequence[Served], slots: int) -> Fit:
    """Fit a profile of `slots` slots. Raises `ValueError` for fewer than `SERVED_MIN` requests."""
    if len(served) < SERVED_MIN:
        raise ValueError(f"{len(served)} requests were measured and {SERVED_MIN} are needed")
    seen = [one for number, one in enumerate(served, start=1) if number % HELD_OUT_EVERY]
    unseen = served[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    profile = _fit(seen, slots)
    return Fit(
        profile,
        ttft=_errors(unseen, lambda one: one.ttft_s, lambda one: profile.prefill_s(one.prompt_tokens)),
        service=_errors(unseen, lambda one: one.service_s, lambda one: predict_service_s(profile, one)),
        fitted=len(seen),
        held_out=len(unseen),
    )


def predict_service_s(profile: SlotsProfile, one: Served) -> float:
    """Seconds in a slot that a profile expects of a request among as many others as it had."""
    token_s = profile.decode_token_s + profile.decode_token_s_per_busy_slot * one.busy
    return profile.prefill_s(one.prompt_tokens) + max(0, one.output_tokens - 1) * token_s


def _fit(served: Sequence[Served], slots: int) -> SlotsProfile:
    base_s, prefill_token_s = fit_line([(one.prompt_tokens, one.ttft_s, 1.0) for one in served])
    gaps = [(one, one.output_tokens - 1) for one in served if one.output_tokens > 1]
    decode_s, busy_s = fit_line([(one.busy, (one.service_s - one.ttft_s) / count, count) for one, count in gaps])
    return SlotsProfile(slots, base_s, prefill_token_s, decode_s, busy_s)


def fit_line(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Return (intercept, slope), neither negative, through points (x, y, weight) with the least squares of relative errors.

    Errors are relative to the line, not to the points, which would pull it down; hence a few rounds.
    """
    weighted = [(x, y, weight) for x, y, weight in points]
    line = (0.0, 0.0)
    for _ in range(_ROUNDS):
        line = _solve(weighted)
        weighted = [(x, y, w / max(_TINY_S, line[0] + line[1] * x) ** 2) for x, y, w in points]
    return line


def _solve(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Normal equations of two unknowns. 1. one x only, or falling: flat; 2. below 0 at x = 0: through the origin."""
    total = sum(weight for _, _, weight in points)
    if not total:
        return 0.0, 0.0
    mean_x = sum(weight * x for x, _, weight in points) / total
    mean_y = sum(weight * y for _, y, weight in points) / total
    spread = sum(weight * (x - mean_x) ** 2 for x, _, weight in points)
    slope = sum(weight * (x - mean_x) * (y - mean_y) for x, y, weight in points) / spread if spread else 0.0
    if slope <= 0:  # 1
        return mean_y, 0.0
    if mean_y < slope * mean_x:  # 2
        return 0.0, sum(w * x * y for x, y, w in points) / sum(w * x * x for x, _, w in points)
    return mean_y - slope * mean_x, slope


def _errors(served: Sequence[Served], actual: Callable[[Served], float], expected: Callable[[Served], float]) -> Errors:
    sizes = sorted(abs(expected(one) - actual(one)) / max(_TINY_S, actual(one)) for one in served)
    return Errors(_quantile(sizes, 0.5), _quantile(sizes, 0.9))


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[max(0, ceil(share * len(ascending)) - 1)]
