"""The page of a study: it needs nothing but itself, says what it shows in words too, and believes no name."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from tests.sim.question import ask
from toque.sim.optimum import find_fixed, find_optimum
from toque.sim.report.axis import of_shares, of_waits, over_time
from toque.sim.report.html import Shown, Story, render_html
from toque.sim.report.style import DARK, LIGHT, SERIES_DARK, SERIES_LIGHT
from toque.sim.study import run_policy
from toque.sim.timeline import Moment, Timeline

EVIL = '<script>alert("&1")</script>'
VOID = {"meta"}


class Page(HTMLParser):
    """Everything the tests ask about a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@cache
def _story() -> Story:
    times = [burst * 60.0 + step * 0.3 for burst in range(6) for step in range(10)]
    question = ask(times, (2, 0, 6), cold_start_s=1.0)
    fixed = find_fixed(question)
    question = question.sized(fixed.replicas, 1, 4 * fixed.replicas)
    shown = []
    for policy in ("concurrency", "hpa"):
        timeline, moment = Timeline(), Moment(60.0)
        shown.append(Shown(run_policy(question, policy, [timeline, moment]), timeline, moment))
    return Story("monday.csv", question, find_optimum(question, fixed), shown)


def _page(story: Story | None = None) -> Page:
    return Page(render_html(story or _story()))


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    text, page = render_html(_story()), _page()
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "base", "form"})
    attributes = {name for _, own in page.tags for name in own}
    assert attributes.isdisjoint({"src", "href", "xlink:href", "srcset", "style"})
    assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in text
    [policy] = [own for own in page.all("meta") if own.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy["content"]).startswith("default-src 'none'")


def test_every_policy_has_its_row_and_its_charts_beside_plan_bound_and_fixed() -> None:
    page = _page()
    rows = {
        "concurrency",
        "hpa",
        "clairvoyant plan",
        "lower bound",
        f"fixed, N = {_story().optimum.fixed.replicas} in hindsight",
    }
    assert rows <= set(page.words)
    names = [str(own["aria-label"]) for own in page.all("svg") if "aria-label" in own]
    assert names[:2] == ["Cost against service level", "Share of requests by queue wait"]
    for policy in ("concurrency", "hpa"):
        assert f"{policy}: load and replicas over time" in names
        assert f"{policy}: queue wait over time" in names
    assert "plan" in page.text
    assert "1.00 x" in page.text


def test_every_chart_has_a_name_and_every_column_a_head() -> None:
    page = _page()
    assert all(own.get("role") == "img" or own.get("aria-hidden") == "true" for own in page.all("svg"))
    assert {own.get("scope") for own in page.all("th")} == {"row", "col"}
    assert page.all("html") == [{"lang": "en"}]


def test_names_from_outside_are_shown_and_not_believed() -> None:
    [first, *others] = _story().shown
    odd = replace(first, row=replace(first.row, policy=EVIL))
    text = render_html(replace(_story(), trace=EVIL, shown=[odd, *others]))
    assert "<script" not in text
    assert EVIL in Page(text).text


def test_money_is_told_only_when_there_is_a_price() -> None:
    hours = _story().shown[0].row.replica_hours
    assert "cost" not in _page().words
    priced = _page(replace(_story(), price=1000.0))
    assert "cost" in priced.words
    assert f"{hours * 1000:,.2f}" in priced.words


def test_the_decisions_around_a_moment_are_told_with_their_reasons() -> None:
    page = _page()
    assert "concurrency: decisions around 60 s" in page.words
    moment = _story().shown[0].moment
    assert moment is not None
    reasons = [decision.desired.reason for _, decision in moment.decisions]
    assert reasons
    assert all(reason in page.text for reason in reasons)


def test_a_study_without_timelines_has_a_table_and_two_charts() -> None:
    page = _page(replace(_story(), shown=[Shown(one.row) for one in _story().shown]))
    assert len([own for own in page.all("svg") if own.get("role") == "img"]) == 2


def test_a_fixed_size_that_is_cheapest_is_said_to_be_the_honest_answer() -> None:
    assert "Do not autoscale" in _page(replace(_story(), shown=[])).text


def test_no_number_in_a_drawing_is_outside_of_it_or_none() -> None:
    text = render_html(_story())
    assert "nan" not in text
    assert "inf" not in text.replace("in flight", "")
    for way in re.findall(r' d="([^"]+)"', text):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", way):
            assert 0 <= float(x) <= 760
            assert 0 <= float(y) <= 400


@pytest.mark.parametrize(("colours", "series"), [(LIGHT, SERIES_LIGHT), (DARK, SERIES_DARK)])
def test_text_and_lines_stand_out_by_day_and_by_night(colours: Mapping[str, str], series: tuple[str, ...]) -> None:
    for ground in (colours["back"], colours["card"]):
        for text in (colours["text"], colours["soft"], colours["good"], colours["bad"], *series):
            assert _contrast(text, ground) >= 4.5, (text, ground)
        for line in (colours["edge"], colours["load"], colours["ready"]):
            assert _contrast(line, ground) >= 3, (line, ground)


def test_axes_have_round_values_and_keep_everything_inside() -> None:
    assert [text for _, text in over_time(3 * 3600.0).marks] == ["0", "0.5", "1", "1.5", "2", "2.5", "3"]
    assert over_time(90.0).title == "time, s"
    waits = of_waits("wait", 250.0, -1)
    assert [text for _, text in waits.marks] == ["0", "0.1", "1", "10", "100"]
    assert (waits.share(-1.0), waits.share(0.0), waits.share(1e9)) == (0.0, 0.0, 1.0)
    shares = of_shares("share", 0.97)
    assert [text for _, text in shares.marks] == ["90 %", "95 %", "99 %", "99.9 %", "100 %"]
    assert shares.share(0.99) == pytest.approx(0.5, abs=0.05)
    assert of_shares("share", 0.0).low == 0.0


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
