"""The charts of a study: load and replicas over time, waits over time, who waited how long, and what it cost.

Law: charts of one kind share their axes, so that policies can be compared by eye.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from toque.sim.optimum import Optimum
from toque.sim.report.axis import Axis, linear, of_shares, of_waits, over_time
from toque.sim.report.chart import Chart
from toque.sim.report.style import SERIES_LIGHT
from toque.sim.study import FIXED, PLAN, Question, Row
from toque.sim.timeline import Point

REPLICAS_HEIGHT = 230
WAITS_HEIGHT = 150
CURVES_HEIGHT = 330


@dataclass(frozen=True, slots=True)
class Film:
    """What is drawn over time for one policy."""

    name: str
    points: Sequence[Point]

    @property
    def until(self) -> float:
        """When the last bin ends."""
        return self.points[-1].at + self.points[-1].width_s


def row_name(row: Row) -> str:
    """What a row is called on the page."""
    return f"{FIXED}, N = {row.replicas}" if row.policy == FIXED and row.replicas else row.policy


def series(number: int) -> str:
    """Return the style of the policy at this place in the list."""
    return f"s{number % len(SERIES_LIGHT)}"


def replicas_over_time(film: Film, all_films: Sequence[Film], slots: int) -> str:
    """Draw the load, and what the replicas can take: those ready, and on top of them those starting."""
    up, right = _load_axes(all_films, slots)
    chart = Chart(f"{film.name}: load and replicas over time", _time(all_films), up, REPLICAS_HEIGHT, right)
    paid = [(point.at, (point.ready + point.starting) * slots) for point in film.points]
    ready = [(point.at, point.ready * slots) for point in film.points]
    load = [(point.at, point.in_flight + point.waiting) for point in film.points]
    chart.band(ready, paid, film.until, "starting")
    chart.area(load, film.until, "load")
    chart.steps([(point.at, point.load_peak) for point in film.points], film.until, "load thin")
    chart.steps(ready, film.until, "ready")
    return chart.text


def waits_over_time(film: Film, all_films: Sequence[Film], question: Question) -> str:
    """Draw the mean and the worst wait of those who arrived in each bin."""
    up = of_waits("queue wait, s", max(point.wait_worst_s for one in all_films for point in one.points))
    chart = Chart(f"{film.name}: queue wait over time", _time(all_films), up, WAITS_HEIGHT)
    chart.area([(point.at, point.wait_mean_s) for point in film.points], film.until, "load")
    chart.steps([(point.at, point.wait_worst_s) for point in film.points], film.until, "load thin")
    if question.objective.measure == "queue_wait":
        chart.level(question.objective.limit_s, f"limit {question.objective.limit_s:g} s")
    return chart.text


def waits_of_all(rows: Sequence[Row], optimum: Optimum, question: Question) -> str:
    """Draw which share of requests waited at most how long."""
    everyone = [*rows, optimum.plan, optimum.fixed]
    across = of_waits("queue wait at most, s", max(row.measures.queue_wait.quantile(1.0) for row in everyone), -1)
    curves = [row.measures.queue_wait.points() for row in everyone]
    up = of_shares("of served requests", min((curve[0][1] for curve in curves if curve), default=0.0))
    chart = Chart("Share of requests by queue wait", across, up, CURVES_HEIGHT)
    if question.objective.measure == "queue_wait":
        chart.upright(question.objective.limit_s, f"objective: {question.objective}")
    styles = [*(series(number) for number in range(len(rows))), PLAN, FIXED]
    for curve, style in zip(curves, styles, strict=True):
        chart.line([*curve, (across.high, 1.0)] if curve else [], style)
    return chart.text


def cost_and_service(rows: Sequence[Row], optimum: Optimum, question: Question) -> str:
    """Draw what each policy cost against what it achieved, with plan, bound and best fixed size."""
    everyone = [*rows, optimum.plan, optimum.fixed]
    up = of_shares("met the objective", min(row.measures.attainment for row in everyone))
    across = linear("replica-hours", 1.08 * max(row.replica_hours for row in everyone))
    chart = Chart("Cost against service level", across, up, CURVES_HEIGHT)
    chart.level(question.objective.share, f"goal {100 * question.objective.share:g} %")
    chart.upright(optimum.bound_hours, "bound: nobody can be cheaper")
    for number, row in enumerate(rows):
        chart.mark(_spot(row), row_name(row), _told(row), series(number))
    chart.mark(_spot(optimum.fixed), f"{row_name(optimum.fixed)} in hindsight", _told(optimum.fixed), f"{FIXED} square")
    chart.mark(_spot(optimum.plan), "clairvoyant plan", _told(optimum.plan), f"{PLAN} diamond")
    return chart.text


def _spot(row: Row) -> tuple[float, float]:
    return row.replica_hours, row.measures.attainment


def _told(row: Row) -> str:
    return f"{row_name(row)}: {row.replica_hours:.2f} replica-hours, {100 * row.measures.attainment:.2f} %"


def _time(films: Sequence[Film]) -> Axis:
    return over_time(max(film.until for film in films))


def _load_axes(films: Sequence[Film], slots: int) -> tuple[Axis, Axis]:
    """Left in requests, right in the replicas that hold them; a backlog beyond all replicas runs out of the picture."""
    points = [point for film in films for point in film.points]
    high = 1.05 * max(1.0, *(max(point.load_peak, (point.ready + point.starting) * slots) for point in points))
    paid = slots * max(point.ready + point.starting for point in points)
    high = min(high, 2 * max(paid, slots))
    return linear("requests", high), linear("replicas", high / slots)
