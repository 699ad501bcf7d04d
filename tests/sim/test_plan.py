"""The clairvoyant plan can be carried out, is ready in time, and is never dearer than the best fixed size."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.question import ONE_SECOND, ask
from toque.sim.demand import Demand
from toque.sim.objective import Objective
from toque.sim.optimum import bound_hours, find_fixed, find_plan
from toque.sim.plan import Search, find_timetable
from toque.sim.slots import SlotsProfile
from toque.sim.study import run_fixed
from toque.sim.timetable import Calendar
from toque.sim.workload.named import find_workload

BURST = [60.0 + 0.05 * number for number in range(40)]


def _demand(times: list[float]) -> Demand:
    question = ask(times)
    return Demand.of(question.arrivals(), ONE_SECOND, question.objective)


def test_what_is_needed_is_ordered_a_cold_start_before_and_kept_through_short_gaps() -> None:
    calendar = Calendar(1.0, 3.0, initial=0)
    needs = [0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0]
    ordered = calendar.ordered(needs)
    assert ordered == [0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0]
    assert calendar.ready(ordered) == [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0]


def test_replicas_that_are_there_at_the_beginning_need_no_cold_start() -> None:
    calendar = Calendar(1.0, 3.0, initial=2)
    assert calendar.ready(calendar.ordered([3, 3, 3, 3, 3, 3])) == [2, 2, 2, 2, 3, 3]


def test_who_waits_too_long_is_found_by_serving_first_come_first_served() -> None:
    demand = _demand([0.0, 0.1, 0.2, 0.3, 0.4])
    assert demand.late([1], 100.0, 1, 1.0) == [3, 4]
    assert demand.late([1], 100.0, 1, 0.5) == []
    assert demand.late([1, 5], 2.0, 1, 1.0) == []
    assert demand.late([0, 0], 2.0, 1, 1.0) == [0, 1, 2, 3, 4]


def test_slots_that_go_finish_what_they_have() -> None:
    demand = _demand([0.0, 0.1, 0.2, 4.0])
    assert demand.late([3, 0, 0, 1], 0.5, 1, 1.0) == []


def test_load_without_waiting_is_spread_over_the_bins_it_covers() -> None:
    assert _demand([0.0, 0.5, 3.0]).load(1.0, 1.0) == pytest.approx([1.5, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0])


def test_a_search_finds_needs_that_leave_nobody_late() -> None:
    demand = _demand([*BURST, 100.0])
    search = Search(demand, Calendar.of(5.0, 1, 100.0), 1, 1, 30, misses=0)
    needs = find_timetable(search)
    assert search.tried(needs).late == []
    assert max(needs) >= 10
    assert needs[search.calendar.bin(30.0)] == needs[search.calendar.bin(80.0)] == 1


def test_a_plan_scales_for_a_burst_after_a_long_calm_and_meets_the_objective() -> None:
    question = ask([0.0, *BURST, 300.0], (1, 1, 40), cold_start_s=30.0)
    fixed = find_fixed(question)
    plan = find_plan(question, fixed)
    assert fixed.replicas == 10
    assert plan.measures.holds
    assert plan.replica_hours < fixed.replica_hours / 3


def test_a_plan_starts_with_what_is_there_when_a_cold_start_would_come_too_late() -> None:
    question = ask([0.05 * number for number in range(60)], (20, 1, 40), cold_start_s=120.0)
    plan = find_plan(question, run_fixed(question, 20))
    assert plan.measures.holds


def test_bursty_code_traffic_is_planned_for_a_third_of_the_best_fixed_size() -> None:
    profile = SlotsProfile(8, 0.03, 0.00025, 0.012, 0.0015)
    arrivals = [arrival for arrival in find_workload("azure-code-2023").start() if arrival.at < 900]
    question = ask([], (5, 1, 20), 30.0, profile, Objective())
    question = replace(question, arrivals=lambda: iter(arrivals))
    fixed = find_fixed(question)
    plan = find_plan(question, fixed)
    assert plan.measures.holds
    assert bound_hours(question) < plan.replica_hours < 0.6 * fixed.replica_hours


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cold_start_s=st.sampled_from([0.5, 5.0, 40.0]),
    share=st.sampled_from([0.9, 1.0]),
    slots=st.integers(1, 3),
)
def test_wherever_a_fixed_size_meets_the_objective_the_plan_does_and_is_not_dearer(
    seed: int, cold_start_s: float, share: float, slots: int
) -> None:
    chance = random.Random(seed)
    times = [chance.uniform(0, 200) for _ in range(60)] + [chance.gauss(100, 2) for _ in range(40)]
    profile = SlotsProfile(slots, base_s=0.5, decode_token_s=0.2, decode_token_s_per_busy_slot=0.1)
    question = ask([abs(at) for at in times], (1, 1, 60), cold_start_s, profile, Objective(limit_s=1.0, share=share))
    fixed = find_fixed(question)
    question = question.sized(fixed.replicas, 1, 4 * fixed.replicas)
    plan = find_plan(question, fixed)
    assert fixed.measures.holds
    assert plan.measures.holds
    assert bound_hours(question) <= plan.replica_hours <= fixed.replica_hours
