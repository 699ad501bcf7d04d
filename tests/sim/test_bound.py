"""The lower bound is never above what anybody paid, whoever it was, and as high as can be worked out by hand."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.question import ask
from toque.core.policy import Policy
from toque.core.scaling import POLICIES
from toque.model.decision import Desired, Observation
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.bound import lower_bound_s
from toque.sim.objective import Objective
from toque.sim.optimum import bound_hours, find_fixed, find_plan
from toque.sim.slots import SlotsProfile
from toque.sim.study import Question, Row, run_own, run_policy

ALL = Objective(limit_s=2.0, share=1.0)


class Listed(Policy):
    """Wants the numbers of a list, one each three seconds."""

    interval_s = 1.0
    foresees = True

    def __init__(self, replicas: tuple[int, ...]) -> None:
        self._replicas = replicas

    def desire(self, seen: Observation, now: float) -> Desired:
        return Desired(self._replicas[min(int(now / 3), len(self._replicas) - 1)], "as listed")


def _bound(times: list[float], work: float, minimum: int, objective: Objective = ALL) -> float:
    return lower_bound_s((Arrival(at) for at in times), lambda _: work, lambda _: work, minimum, objective)


def _cheapest_of_all(question: Question, bins: int) -> Row | None:
    """Try every list of replicas there is."""
    sizes = range(question.sizes.minimum, question.sizes.maximum + 1)
    rows = (_listed(question, wish) for wish in product(sizes, repeat=bins))
    return min((row for row in rows if row.measures.holds), key=lambda row: row.replica_hours, default=None)


def _listed(question: Question, wish: tuple[int, ...]) -> Row:
    return run_own(question, "listed", lambda _: Listed(wish))


def test_one_replica_that_is_there_anyway_does_what_it_can_and_the_rest_is_paid() -> None:
    # 4 requests of 1 s at once may wait 2 s: one replica serves 3 until the last latest end at 3 s, so 1 s is paid
    assert _bound([0.0] * 4 + [10.0], 1.0, 1) == pytest.approx(10 + 1)


def test_work_comes_too_late_to_be_done_before_it_arrives() -> None:
    # a replica that idled for 10 s cannot do more than 3 s of work for those who arrive then
    assert _bound([10.0] * 5, 1.0, 1) == pytest.approx(10 + 2)


def test_without_a_minimum_all_work_is_paid() -> None:
    assert _bound([0.0, 5.0, 9.0], 1.0, 0) == pytest.approx(3)


def test_the_dearest_requests_are_let_go_if_some_may_miss() -> None:
    half = Objective(limit_s=2.0, share=0.5)
    assert _bound([0.0] * 6 + [10.0] * 2, 1.0, 1, half) == pytest.approx(10, abs=0.1)
    assert _bound([0.0] * 40, 1.0, 1, half) == pytest.approx(0 + 37 - 20, rel=0.02)


def test_batch_requests_cost_the_bound_nothing() -> None:
    batch = [Arrival(0.0, service_class=ServiceClass.BATCH)] * 100
    assert lower_bound_s(batch, lambda _: 1.0, lambda _: 1.0, 1, ALL) == 0.0


@pytest.mark.parametrize(
    ("times", "cold_start_s"),
    [
        ([0.0, 0.5, 1.0, 6.0, 6.1, 6.2, 6.3, 6.4], 0.5),
        ([0.0, 6.0, 6.1, 6.2, 6.3, 6.4, 6.5, 6.6, 6.7], 2.0),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 9.0, 9.1, 9.2, 9.3, 9.4], 1.0),
        ([0.0, 2.0, 4.0, 4.2, 4.4, 4.6, 4.8, 12.0], 3.0),
    ],
)
def test_small_cases_lie_between_the_bound_and_what_trying_everything_finds(
    times: list[float], cold_start_s: float
) -> None:
    question = ask(times, (1, 1, 3), cold_start_s)
    best = _cheapest_of_all(question, 5)
    assert best is not None
    plan = find_plan(question, find_fixed(question, 3))
    assert plan.measures.holds
    assert bound_hours(question) <= best.replica_hours
    assert bound_hours(question) <= plan.replica_hours
    assert plan.replica_hours <= best.replica_hours * 1.15


@settings(max_examples=40, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 8.0), min_size=1, max_size=40),
    slots=st.integers(1, 4),
    minimum=st.integers(0, 2),
    policy=st.sampled_from([name for name in POLICIES if name != "fixed"]),
    share=st.sampled_from([0.5, 0.9, 1.0]),
)
def test_no_policy_that_meets_the_objective_pays_less_than_the_bound(
    gaps: list[float], slots: int, minimum: int, policy: str, share: float
) -> None:
    times = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    profile = SlotsProfile(slots, base_s=0.5, decode_token_s=0.2, decode_token_s_per_busy_slot=0.1)
    question = ask(times, (2, minimum, 6), 1.0, profile, Objective(limit_s=3.0, share=share))
    row = run_policy(question, policy)
    if row.measures.holds:
        assert bound_hours(question) <= row.replica_hours * 1.000001
