"""What a simulation is judged by is exact where it counts, and right within half a percent where it is a quantile."""

import random

import pytest

from tests.sim.question import ONE_SECOND, ask
from toque.model.errors import ConfigError
from toque.model.fallback_spec import FallbackSpec, PriceSpec, SpendingSpec
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ScalingSpec
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.histogram import Histogram
from toque.sim.measure import Measures
from toque.sim.objective import Objective, read_objective
from toque.sim.slots import SlotsProfile
from toque.sim.study import run_fixed, run_policy


def _ended(arrival: Arrival, dispatched_at: float = 0.0, refused: str = "") -> Request:
    return Request(arrival, None if refused else dispatched_at, dispatched_at + 1, refused)


def test_quantiles_are_right_within_half_a_percent() -> None:
    chance = random.Random(5)
    durations = sorted(chance.lognormvariate(0, 2) for _ in range(20_000))
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    for share in (0.01, 0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(durations[int(share * 20_000) - 1], rel=0.011)
    assert histogram.mean_s == pytest.approx(sum(durations) / 20_000)
    assert sum(durations[-50:]) <= histogram.largest_s(50) <= 1.01 * sum(durations[-50:])


def test_a_distribution_begins_at_those_who_did_not_wait_and_ends_at_all() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.0, 1.0, 2.0):
        histogram.add(seconds)
    points = histogram.points()
    assert points[0] == (0.0, 0.5)
    assert [share for _, share in points] == [0.5, 0.75, 1.0]
    assert Histogram().points() == []
    assert Histogram().quantile(0.5) == 0.0


def test_a_fixed_size_is_paid_from_the_beginning_to_the_last_end() -> None:
    row = run_fixed(ask([0.0, 100.0]), 3)
    assert row.replica_hours * 3600 == pytest.approx(3 * 101)
    assert row.measures.starts == 3
    assert row.measures.utilization == pytest.approx(2 / 303)


def test_a_cold_start_is_paid_and_told_to_whom_it_met() -> None:
    row = run_policy(ask([0.0], (0, 0, 1), cold_start_s=5.0), "concurrency")
    assert row.measures.cold_starts_met == 1
    assert row.replica_hours * 3600 == pytest.approx(6.0)
    assert row.measures.queue_wait.mean_s == pytest.approx(5.0)
    assert row.measures.ttft.mean_s == pytest.approx(6.0)


def test_refused_requests_miss_every_objective() -> None:
    measures = Measures(Objective(share=0.5), 1)
    for refused in ("queue_full", "", "queue_timeout", ""):
        measures.ended(_ended(Arrival(0.0), 0.0, refused), 1.0)
    assert measures.attainment == 0.5
    assert measures.holds
    assert measures.rejected == 0.5
    assert measures.refusals == {"queue_full": 1, "queue_timeout": 1}


def test_batch_is_not_judged_while_interactive_requests_are() -> None:
    batch, person = Arrival(0.0, service_class=ServiceClass.BATCH), Arrival(0.0)
    measures = Measures(Objective(share=1.0), 1)
    measures.ended(_ended(batch, 50.0), 51.0)
    assert measures.attainment == 0.0
    measures.ended(_ended(person, 1.0), 52.0)
    assert measures.attainment == 1.0


def test_fairness_is_one_when_all_tenants_are_served_alike_and_less_when_not() -> None:
    measures = Measures(Objective(), 1)
    for tenant, refused in (("a", ""), ("b", "")):
        measures.ended(_ended(Arrival(0.0, 10, 10, tenant), 0.0, refused), 1.0)
    assert measures.fairness == pytest.approx(1.0)
    measures.ended(_ended(Arrival(0.0, 10, 10, "c"), 0.0, "queue_full"), 1.0)
    assert measures.fairness == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue_wait<=2s@99%", Objective("queue_wait", 2.0, 0.99)),
        (" ttft < 800ms @ 95.5 % ", Objective("ttft", 0.8, 0.955)),
        ("queue_wait<=0.5@100%", Objective("queue_wait", 0.5, 1.0)),
    ],
)
def test_objectives_are_written_as_people_say_them(text: str, expected: Objective) -> None:
    read = read_objective(text)
    assert (read.measure, read.limit_s) == (expected.measure, expected.limit_s)
    assert read.share == pytest.approx(expected.share)
    assert read_objective(str(read)).measure == read.measure


@pytest.mark.parametrize(
    "text", ["", "wait<=2s@99%", "queue_wait<=2s", "ttft<=1..2s@99%", "ttft<=1s@0%", "ttft<=1s@101%"]
)
def test_what_is_no_objective_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_objective(text)
    assert caught.value.fix


def test_an_objective_on_ttft_counts_the_first_token() -> None:
    slow = SlotsProfile(1, base_s=3.0)
    question = ask([0.0, 10.0], profile=slow, objective=Objective("ttft", 2.0, 1.0))
    assert run_fixed(question, 1).measures.attainment == 0.0
    question = ask([0.0, 10.0], profile=ONE_SECOND, objective=Objective("ttft", 2.0, 1.0))
    assert run_fixed(question, 1).measures.attainment == 1.0


def test_whom_a_fallback_served_is_counted_with_what_that_cost() -> None:
    chat = PoolSpec(
        "chat", queue=QueueSpec(length_max=0), fallback=FallbackSpec(("gpt",)), scaling=ScalingSpec("fixed")
    )
    gpt = PoolSpec("gpt", slots=64, price=PriceSpec(input=1.0, output=10.0), elastic=False, hosted=True)
    fleet = FleetSpec((chat, gpt), Resources(), SpendingSpec(limit_per_hour=1.0))
    arrivals = [Arrival(0.1 * number, 1000, 100, pool="chat") for number in range(1, 11)]
    measures = Measures(read_objective("queue_wait<1@99%"), 1, {"gpt": gpt.price})
    Simulation(Scenario(fleet, arrivals, ONE_SECOND.replica, constant(0.0)), [measures]).run()
    assert measures.refused == 0
    assert measures.spilled == {"gpt": 9}
    assert measures.spent == pytest.approx(9 * 0.002)
