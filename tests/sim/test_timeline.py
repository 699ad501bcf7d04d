"""A run over time: averages are exact, peaks are peaks, and a long run takes no more memory than a short one."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.question import ask
from toque.model.messages import Effect, Event, ReplicaReady, ReplicaStopped, StartReplica
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.engine import Request
from toque.sim.study import run_fixed, run_policy
from toque.sim.timeline import BINS_MAX, Moment, Point, Timeline


class Everything:
    """The naive one: remembers every change of replicas and load, and every wait."""

    def __init__(self) -> None:
        self.levels: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        self.waits: list[tuple[float, float]] = []
        self._paid: set[int] = set()
        self._load = 0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        self._load += type(event).__name__ == "Arrived"
        if isinstance(event, ReplicaStopped):
            self._paid.discard(event.replica_id)
        self._paid |= {effect.replica_id for effect in effects if isinstance(effect, StartReplica)}
        self.levels.append((now, len(self._paid), self._load))

    def ended(self, request: Request, now: float) -> None:
        self._load -= 1
        self.levels.append((now, len(self._paid), self._load))
        assert request.dispatched_at is not None
        self.waits.append((request.arrival.at, request.dispatched_at - request.arrival.at))

    def average(self, begin: float, end: float, column: int) -> float:
        total = 0.0
        for level, (until, *_) in pairwise([*self.levels, (self.levels[-1][0], 0, 0)]):
            total += level[column] * max(0.0, min(until, end) - max(level[0], begin))
        return total / (min(end, self.levels[-1][0]) - begin or 1.0)

    def peak(self, begin: float, end: float) -> int:
        entered = [level[2] for level in self.levels if level[0] < begin][-1:]
        return max([*entered, *(level[2] for level in self.levels if begin <= level[0] < end)], default=0)


def _run(times: list[float], bins_max: int = BINS_MAX, policy: str = "concurrency") -> tuple[list[Point], Everything]:
    timeline, everything = Timeline(bins_max), Everything()
    run_policy(ask(times), policy, [timeline, everything])
    return timeline.points(), everything


def test_two_requests_at_one_slot_show_one_in_flight_and_one_waiting() -> None:
    timeline = Timeline(bins_max=2)
    run_fixed(ask([0.0, 0.0]), 1, [timeline])
    first = timeline.points()[0]
    assert first.width_s == 2.0
    assert (first.in_flight, first.waiting) == (pytest.approx(1.0), pytest.approx(0.5))
    assert first.load_peak == 2
    assert (first.requests, first.wait_mean_s, first.wait_worst_s) == (2, pytest.approx(0.5), pytest.approx(1.0))


def test_a_replica_is_starting_until_its_cold_start_is_over() -> None:
    timeline = Timeline(bins_max=8)
    run_policy(ask([0.0], (0, 0, 1), cold_start_s=4.0), "concurrency", [timeline])
    points = timeline.points()
    assert [point.starting for point in points] == [1, 1, 1, 1, 0, 0]
    assert [point.ready for point in points][:5] == [0, 0, 0, 0, 1]


def test_the_longest_run_has_no_more_bins_than_allowed_and_no_gap_between_them() -> None:
    timeline = Timeline()
    run_fixed(ask([0.0, 10.0, 7 * 86_400.0]), 1, [timeline])
    points = timeline.points()
    assert BINS_MAX / 2 < len(points) <= BINS_MAX
    assert all(early.at + early.width_s == late.at for early, late in pairwise(points))
    assert points[-1].at <= 7 * 86_400.0 + 1 <= points[-1].at + points[-1].width_s
    assert sum(point.requests for point in points) == 3


def test_a_refused_request_waited_until_it_was_refused() -> None:
    timeline = Timeline(bins_max=4)
    question = ask([0.0, 0.0])
    run_fixed(replace(question, profile=replace(question.profile, base_s=1000.0)), 1, [timeline])
    assert timeline.points()[0].wait_worst_s == pytest.approx(600.0)
    assert timeline.points()[-1].waiting == 0


def test_a_request_that_was_put_back_waits_again() -> None:
    timeline = Timeline(bins_max=8)
    arrivals = [Arrival(0.0, service_class=ServiceClass.BATCH), Arrival(0.5)]
    run_fixed(replace(ask([0.0]), arrivals=lambda: iter(arrivals)), 1, [timeline])
    points = timeline.points()[:5]
    assert [point.width_s for point in points] == [0.5] * 5
    assert [point.in_flight for point in points] == [1, 1, 1, 1, 1]
    assert [point.waiting for point in points] == [0, 1, 1, 0, 0]


def test_a_timeline_that_saw_nothing_is_one_empty_bin() -> None:
    [point] = Timeline().points()
    assert (point.at, point.requests, point.load_peak, point.ready) == (0.0, 0, 0, 0.0)


def test_an_unknown_replica_that_is_ready_counts_as_ready() -> None:
    timeline = Timeline()
    timeline.step(0.0, ReplicaReady(7), [])
    timeline.step(1.0, ReplicaStopped(7), [])
    timeline.step(2.0, ReplicaStopped(7), [])
    assert [point.ready for point in timeline.points()][62:66] == [1, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 60), min_size=1, max_size=30), st.sampled_from([2, 5, 8, 40]))
def test_every_bin_says_what_somebody_with_endless_memory_says(times: list[float], bins_max: int) -> None:
    points, everything = _run(times, bins_max)
    for point in points:
        begin, end = point.at, point.at + point.width_s
        assert point.ready + point.starting == pytest.approx(everything.average(begin, end, 1), abs=1e-6)
        assert point.in_flight + point.waiting == pytest.approx(everything.average(begin, end, 2), abs=1e-6)
        assert point.load_peak == everything.peak(begin, end)
        waits = [wait for at, wait in everything.waits if begin <= at < end]
        assert point.requests == len(waits)
        assert point.wait_worst_s == pytest.approx(max(waits, default=0.0), abs=1e-9)
        assert point.wait_mean_s == pytest.approx(sum(waits) / len(waits) if waits else 0.0, abs=1e-9)


def test_a_moment_keeps_the_decisions_around_it_and_no_others() -> None:
    moment, all_of_them = Moment(100.0, each_way=3), Moment(0.0, each_way=10**6)
    times = [burst * 40.0 + step * 0.1 for burst in range(8) for step in range(12)]
    run_policy(ask(times, (1, 0, 6), cold_start_s=2.0), "concurrency", [moment, all_of_them])
    everything = all_of_them.decisions
    before = [one for one in everything if one[0] <= 100.0]
    after = [one for one in everything if one[0] > 100.0]
    assert moment.decisions == before[-3:] + after[:3]
    assert len(moment.decisions) == 6
