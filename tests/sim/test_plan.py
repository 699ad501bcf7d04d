"""The clairvoyant plan can be carried out, is ready in time, and is never dearer than the best fixed size."""

import random
from array import array
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.question import ONE_SECOND, ask
from toque.core.scaling import POLICIES
from toque.sim.demand import Demand
from toque.sim.objective import Objective
from toque.sim.optimum import bound_hours, find_fixed, find_plan
from toque.sim.plan import Search, Trial, spliced
from toque.sim.service import Service
from toque.sim.slots import SlotsProfile
from toque.sim.study import run_fixed, run_policy
from toque.sim.timetable import Calendar
from toque.sim.ways import Problem, Stretches
from toque.sim.workload.named import find_workload

BURST = [60.0 + 0.05 * number for number in range(40)]


def _search(times: list[float], maximum: int) -> Search:
    question = ask(times)
    service = Service(Demand.of(question.arrivals(), ONE_SECOND, question.objective), 1)
    return Search(Problem.of(service, Calendar.of(5.0, 1, 100.0), 1, maximum))


def _floats(*numbers: float) -> "array[float]":
    return array("d", numbers if len(numbers) > 1 else [0.0] * 6)


def _counts(*numbers: int) -> "array[int]":
    return array("l", numbers)


def test_what_is_needed_is_ordered_a_cold_start_before_and_kept_through_short_gaps() -> None:
    calendar = Calendar(1.0, 3.0, initial=0)
    needs = [0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0]
    ordered = calendar.ordered(needs)
    assert ordered == [0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0]
    assert calendar.ready(ordered) == [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0]


def test_replicas_that_are_there_at_the_beginning_need_no_cold_start() -> None:
    calendar = Calendar(1.0, 3.0, initial=2)
    assert calendar.ready(calendar.ordered([3, 3, 3, 3, 3, 3])) == [2, 2, 2, 2, 3, 3]


def test_a_search_finds_needs_that_leave_nobody_late() -> None:
    search = _search([*BURST, 100.0], 30)
    found = search.find(0)
    assert found.late == 0
    assert max(found.needs) >= 9
    assert found.needs[search.calendar.bin(30.0)] == found.needs[search.calendar.bin(80.0)] == 1


def test_a_search_that_cannot_serve_all_in_time_leaves_the_fewest_late() -> None:
    search = _search([*BURST, 100.0], 2)
    assert search.find(0).late == search.find(0).late > 20


def test_of_two_trials_the_better_stretches_are_joined() -> None:
    careful = Trial(
        2.0, [1, 2, 2, 1, 3, 1], Stretches(_floats(1, 2, 2, 1, 3, 1), _counts(0, 0, 0, 0, 0, 0), _floats(0))
    )
    careless = Trial(
        1.0, [1, 1, 1, 1, 1, 1], Stretches(_floats(1, 1, 1, 1, 1, 1), _counts(0, 0, 5, 0, 2, 0), _floats(0))
    )
    assert spliced(careful, careless, 7, 0.1) == [1, 1, 1, 1, 1, 1]
    assert spliced(careful, careless, 5, 0.1) == [1, 2, 2, 1, 1, 1]
    assert spliced(careful, careless, 1, 0.1) == careful.needs


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


PLANNED = {
    "bursts by day": ("square:low=1,high=8,period=600,duration=1800", 30.0),
    "a crowd": ("flash_crowd:rate=1,peak=15,start=600,fade=120,duration=1500", 120.0),
    "gamma": ("gamma:rate=4,cv=3,duration=900", 10.0),
    "on and off": ("on_off:rate=8,on=40,off=80,duration=900", 2.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNED)
def test_no_policy_that_meets_the_objective_is_cheaper_than_the_plan(name: str) -> None:
    workload, cold_start_s = PLANNED[name]
    question = replace(
        ask([], (1, 1, 1), cold_start_s, SlotsProfile(4, 0.03, 0.00025, 0.010, 0.002), Objective()),
        arrivals=find_workload(workload).start,
    )
    fixed = find_fixed(question)
    question = question.sized(fixed.replicas, 1, 4 * fixed.replicas)
    plan = find_plan(question, fixed)
    assert plan.measures.holds
    assert plan.replica_hours < fixed.replica_hours
    for policy in POLICIES:
        row = run_policy(question, policy)
        assert plan.replica_hours <= row.replica_hours or not row.measures.holds, policy


def test_bursty_code_traffic_is_planned_for_a_third_of_the_best_fixed_size() -> None:
    profile = SlotsProfile(8, 0.03, 0.00025, 0.012, 0.0015)
    arrivals = [arrival for arrival in find_workload("azure-code-2023").start() if arrival.at < 900]
    question = ask([], (5, 1, 20), 30.0, profile, Objective())
    question = replace(question, arrivals=lambda: iter(arrivals))
    fixed = find_fixed(question)
    plan = find_plan(question, fixed)
    assert plan.measures.holds
    assert bound_hours(question) < plan.replica_hours < 0.6 * fixed.replica_hours


@pytest.mark.slow
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
