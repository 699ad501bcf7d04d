"""A backlog behind the traffic: it fills the valleys, people do not notice it, and it costs no memory."""

import gc
import tracemalloc
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import accumulate
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.question import ask
from tests.sim.world import Memory, fixed, scenario
from toque.core.fleet import Fleet
from toque.model.messages import Effect, Event
from toque.model.spec import PoolSpec
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.backlog import WAITING_MAX, Backlog, Job
from toque.sim.engine import Request, Simulation
from toque.sim.faults import Faults
from toque.sim.slots import SlotsProfile
from toque.sim.study import run_fixed
from toque.sim.valley import compare, valley_figures

SECOND = SlotsProfile(slots=2, base_s=1.0)
"""Two slots, and every request takes a second."""


def play(
    job: Job, people: Iterable[float] = (), pool: PoolSpec | None = None, faults: Faults | None = None
) -> tuple[Backlog, Memory]:
    backlog, memory = Backlog(job), Memory()
    world = scenario(pool or fixed(1, 2), [Arrival(at) for at in people], SECOND)
    simulation = Simulation(replace(world, backlog=backlog, faults=faults or Faults()), [memory])
    memory.fleet = simulation.fleet
    simulation.run()
    return backlog, memory


def waits(memory: Memory) -> list[float]:
    """How long people waited, in the order in which they came; everybody must have been served."""
    people = sorted((r for r in memory.requests if not r.arrival.is_item), key=lambda request: request.arrival.at)
    assert not any(request.refused for request in people)
    return [(request.dispatched_at or 0.0) - request.arrival.at for request in people]


def test_items_take_the_slots_that_one_person_leaves_and_give_one_back() -> None:
    """Two items from 0; at 0.5 somebody takes the slot of the second; the five are done at 1, 2, 2.5, 3 and 3.5."""
    backlog, memory = play(Job(5), [0.5])
    assert waits(memory) == [0.0]
    assert (backlog.done, backlog.left, backlog.preemptions) == (5, 0, 1)
    assert backlog.done_at == pytest.approx(3.5)
    assert backlog.held_s == pytest.approx(5.5)
    assert backlog.lost_s == pytest.approx(0.5)
    assert backlog.idle_s == pytest.approx(2 * 3.5 - 1.0)


def test_a_job_that_comes_later_is_not_begun_before() -> None:
    backlog, memory = play(Job(2, at=10.0), [0.0, 10.5])
    assert waits(memory) == [0.0, 0.0]
    assert backlog.preemptions == 1
    assert backlog.done_at == pytest.approx(12.0)
    assert backlog.idle_s == pytest.approx(3.0)


def test_a_job_without_traffic_runs_to_its_end_alone() -> None:
    backlog, _ = play(Job(100))
    assert backlog.done_at == pytest.approx(50.0)
    assert backlog.held_s == pytest.approx(backlog.idle_s)


def test_items_that_their_replica_took_with_it_are_done_again() -> None:
    backlog, _ = play(Job(100), faults=Faults(lifetime_s=20.0))
    assert backlog.done == 100
    assert backlog.lost_s > 0


def test_items_that_are_refused_are_taken_on_again_after_a_rest() -> None:
    pool = fixed(1, 2)
    backlog, memory = play(Job(100), pool=replace(pool, queue=replace(pool.queue, length_max=3)))
    assert backlog.done == 100
    assert any(request.refused for request in memory.requests)


class Line:
    """Remembers the longest line of batch that there was."""

    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.longest = 0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        assert self.fleet is not None
        self.longest = max(self.longest, self.fleet.pools["model"].line.length(ServiceClass.BATCH))

    def ended(self, request: Request, now: float) -> None:
        """Only the line counts."""


def run_through(items: int) -> tuple[int, int]:
    """Run a job behind a person every three seconds; return the longest line, and the most memory that was taken, in bytes."""
    line = Line()
    people = (Arrival(3.0 * number) for number in range(items // 4))
    simulation = Simulation(replace(scenario(fixed(1, 2), people, SECOND), backlog=Backlog(Job(items))), [line])
    line.fleet = simulation.fleet
    gc.collect()
    tracemalloc.start()
    simulation.run()
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return line.longest, most_bytes


@pytest.mark.parametrize(
    ("short", "long"), [(500, 5_000), pytest.param(1_000, 100_000, marks=pytest.mark.slow, id="a hundred thousand")]
)
def test_a_longer_job_takes_no_more_memory(short: int, long: int) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:  # in this one, threads of other stories count as well
        _, (_, short_bytes), (longest, long_bytes) = alone.map(
            run_through, (100, short, long)
        )  # 100: what is made once
    assert longest <= WAITING_MAX + 2
    assert long_bytes < short_bytes + 50_000


@given(
    gaps_s=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0, 4.0]), max_size=30),
    slots=st.integers(1, 4),
    items=st.integers(1, 60),
)
def test_people_wait_at_most_the_patience_longer_beside_a_backlog(gaps_s: list[float], slots: int, items: int) -> None:
    times = list(accumulate(gaps_s))
    pool = fixed(1, slots)
    pool = replace(
        pool, queue=replace(pool.queue, batch_share_ratio=0.0), batch=replace(pool.batch, preemptions_max=10**6)
    )
    alone = play(Job(), times, pool)[1]
    backlog, beside = play(Job(items), times, pool)
    assert backlog.done == items
    bound_s = pool.batch.preempt_patience_s + 1e-9
    for without_s, with_s in zip(waits(alone), waits(beside), strict=True):
        assert with_s <= without_s + bound_s


@given(people=st.lists(st.floats(0.0, 30.0), max_size=30), items=st.integers(1, 60))
def test_no_item_is_lost_or_done_twice_and_no_slot_is_held_that_was_not_idle(people: list[float], items: int) -> None:
    backlog, memory = play(Job(items), sorted(people))
    done = [request for request in memory.requests if request.arrival.is_item and not request.refused]
    assert backlog.done == len(done) == items
    assert backlog.held_s <= backlog.idle_s + 1e-6
    assert backlog.held_s - backlog.lost_s == pytest.approx(items)
    assert len(waits(memory)) == len(people)


def fleets(people: Sequence[float], job: Job, replicas: int = 1) -> dict[str, float]:
    """Return alone, beside, own and saved in replica-seconds."""
    question = ask(people, profile=SECOND)
    beside = replace(question, job=job)
    valley = compare(beside, run_fixed(question, replicas), run_fixed(beside, replicas))
    figures = valley_figures(valley)
    hours = {
        "alone": figures["alone"]["replica_hours"],
        "beside": figures["beside"]["replica_hours"],
        "own": figures["own_fleet"]["replica_hours"],
        "saved": figures["saved_replica_hours"],
    }
    return {name: round(amount * 3600, 1) for name, amount in hours.items()}


def test_a_job_that_ends_within_the_traffic_saves_all_of_a_fleet_of_its_own() -> None:
    assert fleets([0.0, 99.0], Job(20)) == {"alone": 100.0, "beside": 100.0, "own": 10.0, "saved": 10.0}


def test_a_job_that_outlives_the_traffic_pays_for_the_rest() -> None:
    """39 items and somebody's second fill two slots for 20 s; the traffic alone took one, with one slot empty."""
    assert fleets([0.0], Job(39)) == {"alone": 1.0, "beside": 20.0, "own": 19.5, "saved": 0.5}


def test_items_are_none_of_the_requests_that_people_are_judged_by() -> None:
    question = ask([0.0, 50.0], profile=SECOND)
    alone, beside = run_fixed(question, 1), run_fixed(replace(question, job=Job(30)), 1)
    assert beside.measures.requests == alone.measures.requests == 2
    assert beside.measures.queue_wait.quantile(1.0) == 0.0
    assert alone.backlog.done == 0
    assert beside.backlog.done == 30
