"""The report for programs: one JSON document a study (docs/how-to/simulate.md).

Law: names carry their units; what does not exist (a ratio to nothing, a price that was not given) is left out or null.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from toque.sim.histogram import Histogram
from toque.sim.optimum import Optimum
from toque.sim.study import Question, Row

Figures: TypeAlias = Mapping[str, Any]
"""What json writes; its shape is this page."""
DIGITS = 6


def document(
    trace: str, question: Question, optimum: Optimum, rows: Sequence[Row], price: float | None
) -> dict[str, Any]:
    """Return the whole study. `price` is money per replica-hour; None: nothing is said of money."""
    sizes = question.sizes
    return {
        "trace": trace,
        "requests": optimum.fixed.measures.requests,
        "cold_start_s": round(question.cold_start_s, DIGITS),
        "slo": str(question.objective),
        "slots": question.profile.slots,
        "sizes": {"initial": sizes.initial, "minimum": sizes.minimum, "maximum": sizes.maximum},
        "plan": figures(optimum.plan, optimum, price),
        "fixed": figures(optimum.fixed, optimum, price),
        "bound": {"replica_hours": round(optimum.bound_hours, DIGITS), **_money(optimum.bound_hours, price)},
        "policies": [figures(row, optimum, price) for row in rows],
    }


def compared(studies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return several studies as one: the first, with the policies of all. Each policy's ratios are those of its own study; the
    studies themselves follow as `studies`."""
    if len(studies) == 1:
        return dict(studies[0])
    return {**studies[0], "policies": [one for study in studies for one in study["policies"]], "studies": list(studies)}


def figures(row: Row, optimum: Optimum, price: float | None) -> dict[str, Any]:
    """Return what one policy achieved."""
    measures = row.measures
    return {
        "policy": row.policy,
        **({"replicas": row.replicas} if row.replicas else {}),
        "replica_hours": round(row.replica_hours, DIGITS),
        **_money(row.replica_hours, price),
        "slo_attainment": round(measures.attainment, DIGITS),
        "slo_met": measures.holds,
        "queue_wait_s": spread(measures.queue_wait),
        "ttft_s": spread(measures.ttft),
        "goodput_per_s": round(measures.goodput_per_s, DIGITS),
        "rejected": round(measures.rejected, DIGITS),
        "starts": measures.starts,
        "stops": measures.stops,
        "cold_starts_met": measures.cold_starts_met,
        "utilization": round(measures.utilization, DIGITS),
        "fairness": round(measures.fairness, DIGITS),
        "plan_ratio": _ratio(row.replica_hours, optimum.plan.replica_hours),
        "bound_ratio": _ratio(row.replica_hours, optimum.bound_hours),
    }


def spread(durations: Histogram) -> dict[str, float]:
    """Return the places of a distribution that reports name, in seconds."""
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        **{name: round(durations.quantile(share), DIGITS) for name, share in places.items()},
        "mean": round(durations.mean_s, DIGITS),
    }


def _ratio(hours: float, best_hours: float) -> float | None:
    return round(hours / best_hours, 4) if best_hours else None


def _money(hours: float, price: float | None) -> dict[str, float]:
    return {} if price is None else {"cost": round(hours * price, DIGITS)}
