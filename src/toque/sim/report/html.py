"""The report for people: one page that needs nothing but itself, by day and by night.

Law: nothing is fetched and nothing is executed, and the page tells the browser so; every text from outside is escaped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from toque.model.decision import Decision
from toque.sim.optimum import Optimum, cheapest
from toque.sim.report.pictures import (
    Film,
    cost_and_service,
    replicas_over_time,
    row_name,
    series,
    waits_of_all,
    waits_over_time,
)
from toque.sim.report.style import style_sheet
from toque.sim.study import FIXED, PLAN, Question, Row
from toque.sim.timeline import Moment, Timeline
from toque.sim.valley import Valley

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Shown:
    """One policy, with what was seen of its run."""

    row: Row
    timeline: Timeline | None = None
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What a page tells. `optimum` has the plan, the bound and the best fixed size; `price` is money per replica-hour.

    `name` tells several stories of one page apart; `slots_from` says who gave the slots of a replica; `valleys` are the
    policies with a job behind the traffic, which tables and JSON show.
    """

    trace: str
    question: Question
    optimum: Optimum
    shown: Sequence[Shown]
    price: float | None = None
    name: str = ""
    slots_from: str = "the profile"
    valleys: Sequence[Valley] = ()

    @property
    def rows(self) -> list[Row]:
        """The policies as they ran."""
        return [one.row for one in self.shown]


def render_html(*stories: Story) -> str:
    """Return the page: of several stories one after the other."""
    title = escape(f"{stories[0].trace}: toque simulate")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{title}</title>'
        f"<style>{style_sheet()}</style>"
    )
    parts = (_top, _table, _cost, _waits, _over_time, _decisions)
    body = "".join(part(story) for story in stories for part in parts)
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'


def _top(story: Story) -> str:
    question, sizes = story.question, story.question.sizes
    return (
        f"<h1>{escape(story.trace)}{f': {escape(story.name)}' if story.name else ''}</h1>"
        f'<p class="soft">{story.optimum.fixed.measures.requests:,} requests; objective {escape(str(question.objective))}; '
        f"cold start {question.cold_start_s:.3g} s; {question.profile.slots} slots a replica, from {escape(story.slots_from)}; replicas {sizes.initial} at first, "
        f"{sizes.minimum} to {sizes.maximum}</p>"
        f'<p class="answer">{_answer(story)}</p>'
    )


def _answer(story: Story) -> str:
    optimum = story.optimum
    best = cheapest([*story.rows, optimum.fixed])
    if best is None:
        return "Nothing that was tried meets the objective, no fixed size either."
    name, hours = escape(row_name(best)), best.replica_hours
    ratios = f"{_ratio(hours, optimum.plan.replica_hours)} the clairvoyant plan"
    if best is optimum.fixed or best.policy == FIXED:
        return f"Do not autoscale: <strong>{name}</strong> is the cheapest that meets the objective ({hours:.2f} replica-hours, {ratios})."
    saved = 100 * (1 - hours / optimum.fixed.replica_hours) if optimum.fixed.replica_hours else 0.0
    return (
        f"<strong>{name}</strong> is the cheapest that meets the objective: {hours:.2f} replica-hours, {ratios}, "
        f"{saved:.0f} % less than {escape(row_name(optimum.fixed))}."
    )


# ---- the table -------------------------------------------------------------------------------------------------------

_Cell = Callable[[Row], str]
_COLUMNS: Sequence[tuple[str, _Cell]] = (
    ("wait p50, s", lambda row: _seconds(row.measures.queue_wait.quantile(0.5))),
    ("wait p95, s", lambda row: _seconds(row.measures.queue_wait.quantile(0.95))),
    ("wait p99, s", lambda row: _seconds(row.measures.queue_wait.quantile(0.99))),
    ("TTFT p50, s", lambda row: _seconds(row.measures.ttft.quantile(0.5))),
    ("TTFT p95, s", lambda row: _seconds(row.measures.ttft.quantile(0.95))),
    ("TTFT p99, s", lambda row: _seconds(row.measures.ttft.quantile(0.99))),
    ("goodput, /s", lambda row: f"{row.measures.goodput_per_s:.2f}"),
    ("refused", lambda row: f"{row.measures.refused:,}"),
    ("cold starts met", lambda row: f"{row.measures.cold_starts_met:,}"),
    ("starts", lambda row: f"{row.measures.starts:,}"),
    ("stops", lambda row: f"{row.measures.stops:,}"),
    ("utilization", lambda row: f"{100 * row.measures.utilization:.0f} %"),
    ("fairness", lambda row: f"{row.measures.fairness:.3f}"),
)


def _table(story: Story) -> str:
    optimum = story.optimum
    money = ["cost"] if story.price is not None else []
    heads = ["policy", "replica-hours", *money, "x plan", "x bound", "met objective", *(name for name, _ in _COLUMNS)]
    best = cheapest([*story.rows, optimum.fixed])
    lines = [_line(story, row, row_name(row), is_best=row is best) for row in story.rows]
    lines.append(_line(story, optimum.fixed, f"{row_name(optimum.fixed)} in hindsight", is_best=optimum.fixed is best))
    lines.append(_line(story, optimum.plan, "clairvoyant plan", is_best=False))
    blank = "<td></td>" * (len(_COLUMNS) + 1)
    bound = "".join(f"<td>{text}</td>" for text in _costs(story, optimum.bound_hours))
    lines.append(f'<tr><th scope="row">lower bound</th>{bound}{blank}</tr>')
    return (
        "<h2>What each policy costs, and what users feel</h2>"
        "<p>The plan knows every arrival and can be carried out; below the bound nobody can go.</p>"
        '<div class="wide" tabindex="0" role="region" aria-label="All figures">'
        "<table><thead><tr>"
        f"{_heads(heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _heads(names: Sequence[str], in_words: Sequence[str] = ()) -> str:
    styles = {name: ' class="words"' if name in in_words else "" for name in names}
    return "".join(f'<th scope="col"{style}>{name}</th>' for name, style in styles.items())


def _line(story: Story, row: Row, name: str, *, is_best: bool) -> str:
    share = f"{100 * row.measures.attainment:.2f} %"
    met = f'<td class="good">{share}</td>' if row.measures.holds else f'<td class="bad">{share}, missed</td>'
    costs = "".join(f"<td>{text}</td>" for text in _costs(story, row.replica_hours))
    rest = "".join(f"<td>{cell(row)}</td>" for _, cell in _COLUMNS)
    style = ' class="best"' if is_best else ""
    return f'<tr{style}><th scope="row">{escape(name)}</th>{costs}{met}{rest}</tr>'


def _costs(story: Story, hours: float) -> list[str]:
    money = [f"{hours * story.price:,.2f}"] if story.price is not None else []
    optimum = story.optimum
    return [f"{hours:.2f}", *money, _ratio(hours, optimum.plan.replica_hours), _ratio(hours, optimum.bound_hours)]


def _ratio(hours: float, best_hours: float) -> str:
    return f"{hours / best_hours:.2f} x" if best_hours else "-"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"


# ---- the charts ------------------------------------------------------------------------------------------------------


def _cost(story: Story) -> str:
    chart = cost_and_service(story.rows, story.optimum, story.question)
    return f"<h2>Cost against service level</h2><p>Best is left and high: cheap, and the objective met. Each further nine (90 %, 99 %, 99.9 %) has the same room.</p><figure>{chart}</figure>"


def _waits(story: Story) -> str:
    keys = [(row_name(row), f"line {series(number)}") for number, row in enumerate(story.rows)]
    keys += [("clairvoyant plan", f"line {PLAN}"), (f"{row_name(story.optimum.fixed)} in hindsight", f"line {FIXED}")]
    chart = waits_of_all(story.rows, story.optimum, story.question)
    return f"<h2>Who waited how long</h2><figure>{_legend(keys)}{chart}</figure>"


def _over_time(story: Story) -> str:
    films = [Film(row_name(one.row), one.timeline.points()) for one in story.shown if one.timeline]
    if not films:
        return ""
    keys = [
        ("load: in flight + waiting, average", "area load"),
        ("its peak", "line load thin"),
        ("slots of ready replicas", "line ready"),
        ("slots of replicas that start", "area starting"),
    ]
    figures = "".join(
        f"<figure><h3>{escape(film.name)}</h3>{replicas_over_time(film, films, story.question.profile.slots)}"
        f"{waits_over_time(film, films, story.question)}</figure>"
        for film in films
    )
    text = "<p>Below each: the mean wait (filled) and the worst of those who arrived then, on a logarithmic axis.</p>"
    return f"<h2>Replicas against load, and queue wait, over time</h2>{_legend(keys)}{text}{figures}"


def _legend(keys: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<li>{_swatch(style)}{escape(name)}</li>" for name, style in keys)
    return f'<ul class="legend">{items}</ul>'


def _swatch(style: str) -> str:
    way = "M0 0H28V10H0Z" if style.startswith("area") else "M0 5H28"
    return f'<svg viewBox="0 0 28 10" aria-hidden="true"><path class="{style}" d="{way}"/></svg>'


# ---- decisions -------------------------------------------------------------------------------------------------------


def _decisions(story: Story) -> str:
    return "".join(_moment(row_name(one.row), one.moment) for one in story.shown if one.moment)


def _moment(name: str, moment: Moment) -> str:
    heads = ("at, s", "saw", "wanted", "allowed", "replicas")
    lines = "".join(_decision(at, decision) for at, decision in moment.decisions)
    nothing = "" if lines else "<p>Nothing was decided.</p>"
    return (
        f"<h2>{escape(name)}: decisions around {moment.at:g} s</h2>{nothing}"
        f'<div class="wide" tabindex="0" role="region" aria-label="Decisions of {escape(name)}"><table><thead><tr>{_heads(heads, heads[1:4])}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _decision(at: float, decision: Decision) -> str:
    seen = decision.observation
    saw = f"{seen.in_flight} in flight, {seen.waiting} waiting; {seen.ready} ready, {seen.starting} starting, {seen.draining} draining"
    change = f"{decision.before} to {decision.after}" if decision.before != decision.after else f"{decision.after}"
    short = f"; {escape(decision.shortage)}" if decision.shortage else ""
    return (
        f'<tr><th scope="row">{at:.1f}</th><td class="words">{saw}</td>'
        f'<td class="words">{decision.desired.replicas}: {escape(decision.desired.reason)}</td>'
        f'<td class="words">{decision.allowed.replicas}: {escape(decision.allowed.reason)}{short}</td><td>{change}</td></tr>'
    )
