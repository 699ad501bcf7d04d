"""From measured requests to a slots profile: least squares, and how far the result is from requests it has not seen.

Law: pure and deterministic. Every `HELD_OUT_EVERY`th request is kept out of the fit and only judges it. Squares are
over what is expected: short requests count, too, and what all requests take together, the capacity, comes out right. Both
ways of prefill are fitted; the one that explains the requests of the fit better is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from toque.sim.neighbours import Met, Served, meet
from toque.sim.slots import Prefill, SlotsProfile

HELD_OUT_EVERY = 4
SERVED_MIN = 8
"""Fewer measured requests give no profile: two lines have four parameters."""
_ROUNDS = 6
_TINY_S = 1e-9
_FLAT = 1e-9
"""A relative spread of x below this is rounding."""


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
    """Fit a profile of `slots` slots to all the requests of one replica. Raises `ValueError` for fewer than `SERVED_MIN`."""
    if len(served) < SERVED_MIN:
        raise ValueError(f"{len(served)} requests were measured and {SERVED_MIN} are needed")
    profiles = [_fit(served, slots, prefill) for prefill in Prefill]
    profile, met = min(((one, meet(served, one.base_s)) for one in profiles), key=lambda pair: _distance(*pair))
    unseen = met[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    return Fit(
        profile,
        ttft=_errors(_ttft_errors(profile, unseen)),
        service=_errors(_service_errors(profile, unseen)),
        fitted=len(served) - len(unseen),
        held_out=len(unseen),
    )


def predict_ttft_s(profile: SlotsProfile, met: Met) -> float:
    """Seconds to the first token that a profile expects of a request beside the neighbours it met for that profile's base."""
    if profile.prefill is Prefill.EACH:
        return profile.prefill_s(met.served.prompt_tokens)
    reading = met.reading
    start_s = max(0.0, reading.start_s - met.served.began_s)
    shared_s = profile.token_s(reading.decoding) if reading.decoding else 0.0
    return start_s + profile.prefill_token_s * reading.prompt_tokens + shared_s


def predict_service_s(profile: SlotsProfile, met: Met) -> float:
    """Seconds in a slot that a profile expects of a request beside the neighbours it had."""
    tokens = max(0, met.served.output_tokens - 1)
    if profile.prefill is Prefill.EACH:
        return predict_ttft_s(profile, met) + tokens * _token_s(profile, met.busy)
    free_s = max(0, tokens - met.held) * _token_s(profile, met.busy_free)
    return predict_ttft_s(profile, met) + met.held_s + free_s


def _token_s(profile: SlotsProfile, busy: float) -> float:
    return profile.decode_token_s + profile.decode_token_s_per_busy_slot * busy


def _fit(served: Sequence[Served], slots: int, prefill: Prefill) -> SlotsProfile:
    """Fit prompts first: the readings that held others are known only with the base."""
    base_s, prefill_token_s = fit_line(_prompts(_seen(meet(served)), prefill))
    met = _seen(meet(served, base_s))
    if prefill is Prefill.EACH:
        tokens = [(one.busy, one.served.decode_s, one.served.output_tokens - 1) for one in met]
    else:
        tokens = [(one.busy_free, one.free_s, one.served.output_tokens - 1 - one.held) for one in met]
    decode_s, busy_s = fit_line([(busy, seconds / count, count) for busy, seconds, count in tokens if count > 0])
    return SlotsProfile(slots, base_s, prefill_token_s, decode_s, busy_s, prefill)


def _prompts(met: Sequence[Met], prefill: Prefill) -> list[tuple[float, float, float]]:
    """Return points (tokens, seconds, weight); of readings those that waited for nothing and held nobody."""
    if prefill is Prefill.EACH:
        return [(one.served.prompt_tokens, one.served.ttft_s, 1.0) for one in met]
    readings = [one.reading for one in met if one.reading.is_fresh and not one.reading.decoding]
    return [(reading.prompt_tokens, reading.end_s - reading.start_s, 1.0) for reading in readings]


def _seen(met: Sequence[Met]) -> list[Met]:
    return [one for number, one in enumerate(met, start=1) if number % HELD_OUT_EVERY]


def fit_line(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Return (intercept, slope), neither negative, through points (x, y, weight) with the least squares over expectation.

    The expectation is the line's, not the points', which would pull it down; hence a few rounds.
    """
    weighted = [(x, y, weight) for x, y, weight in points]
    line = (0.0, 0.0)
    for _ in range(_ROUNDS):
        line = _solve(weighted)
        weighted = [(x, y, w / max(_TINY_S, line[0] + line[1] * x)) for x, y, w in points]
    return line


def _solve(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Normal equations of two unknowns. 1. one x only, or falling: flat; 2. below 0 at x = 0: through the origin."""
    total = sum(weight for _, _, weight in points)
    if not total:
        return 0.0, 0.0
    mean_x = sum(weight * x for x, _, weight in points) / total
    mean_y = sum(weight * y for _, y, weight in points) / total
    spread = sum(weight * (x - mean_x) ** 2 for x, _, weight in points)
    slope = (
        sum(weight * (x - mean_x) * (y - mean_y) for x, y, weight in points) / spread
        if spread > _FLAT * total * mean_x**2
        else 0.0
    )
    if slope <= 0:  # 1
        return mean_y, 0.0
    if mean_y < slope * mean_x:  # 2
        return 0.0, sum(w * x * y for x, y, w in points) / sum(w * x * x for x, _, w in points)
    return mean_y - slope * mean_x, slope


def _distance(profile: SlotsProfile, met: Sequence[Met]) -> float:
    seen = _seen(met)
    return sum(_ttft_errors(profile, seen)) + sum(_service_errors(profile, seen))


def _ttft_errors(profile: SlotsProfile, met: Sequence[Met]) -> list[float]:
    return [_error(predict_ttft_s(profile, one), one.served.ttft_s) for one in met]


def _service_errors(profile: SlotsProfile, met: Sequence[Met]) -> list[float]:
    return [_error(predict_service_s(profile, one), one.served.service_s) for one in met]


def _error(expected: float, actual: float) -> float:
    return abs(expected - actual) / max(_TINY_S, actual)


def _errors(sizes: Sequence[float]) -> Errors:
    ascending = sorted(sizes)
    return Errors(_quantile(ascending, 0.5), _quantile(ascending, 0.9))


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[max(0, ceil(share * len(ascending)) - 1)]
