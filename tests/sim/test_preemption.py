"""Preemption in virtual time: models forget who leaves, and people wait as if there were no batch."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.test_batching import TINY
from tests.sim.test_slots import PROFILE, TOGETHER
from tests.sim.world import Memory, fixed, scenario
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.engine import Simulation
from toque.sim.profile import Profile
from toque.sim.slots import SlotsProfile

BATCH = ServiceClass.BATCH


@pytest.mark.parametrize("profile", [PROFILE, TOGETHER, TINY], ids=["slots", "together", "batching"])
@given(acts=st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.sampled_from([0.0, 0.01, 0.3])), max_size=40))
def test_who_leaves_is_never_reported_and_everybody_else_ends_once(
    profile: Profile, acts: list[tuple[bool, int, float]]
) -> None:
    model, now, numbers = profile.replica(), 0.0, count()
    inside: dict[int, int] = {}

    def go_on(until: float) -> None:
        for number, is_end in model.turn(until):
            assert number in inside, "it left, or has ended"
            if is_end:
                del inside[number]

    for leaves, which, pause_s in acts:
        if leaves and inside:
            number = sorted(inside)[which % len(inside)]
            model.leave(number, now)
            del inside[number]
        elif len(inside) < 8:
            number = next(numbers)
            inside[number] = 1
            model.begin(number, 1 + which, 1 + 3 * which, now)
        now += pause_s
        go_on(now)
    model.leave(10**6, now)  # who is not there leaves nothing behind
    go_on(now + 100.0)
    assert not inside
    assert model.next_at() == float("inf")


def run(depth: int) -> tuple[list[float], Memory]:
    """People, and a job of this many items that is there from the start; returns how long each of the people waited."""
    people = [Arrival(5.0 + 0.4 * number, 10, 20) for number in range(100)]
    job = [Arrival(0.0, 10, 500, service_class=BATCH) for _ in range(depth)]
    memory = Memory()
    simulation = Simulation(
        scenario(fixed(1, 4), [*job, *people], SlotsProfile(4, base_s=0.05, decode_token_s=0.01)), [memory]
    )
    memory.fleet, memory.check_every = simulation.fleet, 50
    simulation.run()
    served = sorted(
        (one for one in memory.requests if one.arrival.service_class is not BATCH), key=lambda r: r.arrival.at
    )
    return [(one.dispatched_at or 0.0) - one.arrival.at for one in served], memory


def test_people_wait_as_long_beside_a_job_of_any_depth_as_without_one() -> None:
    alone, _ = run(0)
    for depth in (4, 400):
        beside, memory = run(depth)
        assert len(beside) == len(alone) == 100
        assert max(b - a for a, b in zip(alone, beside, strict=True)) <= 0.02
        assert len(memory.requests) == 100 + depth
        assert all(not one.refused for one in memory.requests)
        job = [one for one in memory.requests if one.arrival.service_class is BATCH]
        assert sum(one.preemptions for one in job) > 0
        assert all(one.dispatched_at is not None for one in job)
