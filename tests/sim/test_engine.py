"""The engine: virtual time, ties, cold starts, faults, and that the same scenario always runs the same."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.sim.journal_hash import JournalHash
from tests.sim.world import Memory, fixed, scenario
from toque.core.policy import Policy
from toque.model.condition import FailureCause
from toque.model.decision import Desired, Observation
from toque.model.messages import Failed, ReplicaFailed, ReplicaReady, Woke
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import lognormal
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.faults import UNHEALTHY_AFTER_S, Faults
from toque.sim.slots import SlotsProfile

SECOND = SlotsProfile(slots=1, base_s=1.0)
"""Every request takes a second."""


def run(told: Scenario, until: float = 0.0) -> Memory:
    memory = Memory()
    simulation = Simulation(told, [memory])
    memory.fleet = simulation.fleet
    simulation.run(until=until)
    return memory


def waits(memory: Memory) -> list[float]:
    return [at - r.arrival.at for r in memory.requests if (at := r.dispatched_at) is not None]


def failures(memory: Memory) -> list[tuple[float, FailureCause]]:
    return [(now, event.cause) for now, event, _ in memory.steps if isinstance(event, ReplicaFailed)]


def busy_hour(seed: int = 3) -> Iterator[Arrival]:
    chance = random.Random(seed)
    at = 0.0
    while (at := at + chance.expovariate(0.5)) < 3600:
        yield Arrival(at, chance.randrange(2000), chance.randrange(1, 300))


def elastic(policy: str = "concurrency") -> PoolSpec:
    bounds = ReplicaBounds(minimum_warm=0, maximum=6, idle_to_zero_s=20.0, scale_down_delay_s=10.0)
    queue = QueueSpec(wait_s_max=20.0, cold_wait_s_max=60.0)
    return PoolSpec("model", slots=4, queue=queue, replicas=bounds, scaling=ScalingSpec(policy, stable_window_s=15.0))


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_cold_start_and_a_line_cost_what_they_say() -> None:
    memory = run(scenario(fixed(1, 1), [Arrival(0.5), Arrival(0.5), Arrival(9.0)], SECOND, cold_start_s=3.0))
    assert waits(memory) == [2.5, 3.5, 0.0]
    assert [r.first_at for r in memory.requests] == [4.0, 5.0, 10.0]
    assert memory.requests[0].cold_start_s == 2.5


def test_an_arrival_at_the_instant_of_an_end_comes_before_it() -> None:
    memory = run(scenario(fixed(1, 1), [Arrival(1.0), Arrival(2.0)], SECOND))
    assert waits(memory) == [0.0, 0.0]
    names = [type(event).__name__ for now, event, _ in memory.steps if now == 2.0]
    assert names[:2] == ["Arrived", "Finished"]


def test_replicas_that_are_there_when_time_begins_need_no_cold_start() -> None:
    told = replace(scenario(fixed(1, 1), [Arrival(0.0), Arrival(0.0)], SECOND, cold_start_s=50.0), initial=2)
    told = replace(told, spec=FleetSpec((replace(elastic(), slots=1),), Resources()))
    assert waits(run(told)) == [0.0, 0.0]


def test_it_goes_on_to_where_it_is_told_and_no_further() -> None:
    memory = run(scenario(elastic(), [Arrival(1.0)], SECOND), until=30.0)
    assert 15.0 < memory.steps[-1][0] <= 30.0
    assert isinstance(memory.steps[-1][1], Woke)


def test_two_pools_share_one_world_with_replicas_of_their_own() -> None:
    pools = (fixed(1, 1), replace(fixed(1, 1), name="slow"))
    told = scenario(pools[0], [Arrival(1.0), Arrival(1.0, pool="slow")], SECOND)
    slow = SlotsProfile(1, base_s=5.0)
    told = replace(told, spec=FleetSpec(pools, Resources()), replicas={"slow": slow.replica})
    assert [(r.arrival.pool, r.first_at) for r in run(told).requests] == [("", 2.0), ("slow", 6.0)]


def test_who_has_no_patience_left_is_refused() -> None:
    told = replace(scenario(fixed(1, 1), [Arrival(1.0), Arrival(1.0)], SlotsProfile(1, base_s=30.0)), patience_s=5.0)
    memory = run(told)
    assert [(r.refused, r.dispatched_at) for r in memory.requests] == [("deadline_exceeded", None), ("", 1.0)]


# ---- chance ----------------------------------------------------------------------------------------------------------

TROUBLE = Faults(
    start_failure_ratio=0.2, lifetime_s=120.0, hang_every_s=90.0, hang_s=4.0, slow_ratio=0.3, slow_factor=3.0
)


def fingerprint(seed: int, faults: Faults = TROUBLE) -> str:
    profile = SlotsProfile(4, 0.03, 0.001, 0.02, 0.002)
    told = Scenario(
        FleetSpec((elastic(),), Resources()), busy_hour(), profile.replica, lognormal(5.0, 0.5), seed, faults=faults
    )
    journal = JournalHash()
    Simulation(told, [journal]).run()
    return journal.hexdigest()


def test_the_same_scenario_has_the_same_journal_and_another_seed_another() -> None:
    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)
    assert fingerprint(1) != fingerprint(1, replace(TROUBLE, hang_s=5.0))


@pytest.mark.parametrize("policy", ["concurrency", "hpa", "keda", "kpa", "queue_wait", "rate", "ray_serve"])
def test_in_a_world_of_trouble_every_request_ends_once_and_every_invariant_holds(policy: str) -> None:
    profile = SlotsProfile(4, 0.03, 0.001, 0.02, 0.002)
    told = Scenario(
        FleetSpec((elastic(policy),), Resources()), busy_hour(), profile.replica, lognormal(5.0, 0.5), faults=TROUBLE
    )
    memory = run(told)
    assert len(memory.requests) == sum(1 for _ in busy_hour())
    assert len({id(request) for request in memory.requests}) == len(memory.requests)
    assert all(r.refused or r.dispatched_at is not None for r in memory.requests)
    assert failures(memory), "there was trouble"


# ---- faults ----------------------------------------------------------------------------------------------------------


class Scripted(random.Random):
    """A generator whose exponential draws are given; the last one is drawn for ever."""

    def __init__(self, *draws: float) -> None:
        super().__init__(0)
        self.draws = list(draws)

    def expovariate(self, lambd: float = 1.0) -> float:
        return self.draws.pop(0) if len(self.draws) > 1 else self.draws[0]


def troubled(faults: Faults, arrivals: list[Arrival], *draws: float, pool: PoolSpec | None = None) -> Memory:
    memory = Memory()
    told = replace(scenario(pool or fixed(2, 4), arrivals, SlotsProfile(4, 1.0, 0.0, 0.1)), faults=faults)
    simulation = Simulation(told, [memory])
    memory.fleet = simulation.fleet
    simulation._driver._chance = Scripted(*draws)
    simulation.run()
    return memory


def ends(memory: Memory) -> list[tuple[str, float | None]]:
    return [(r.refused, r.first_at) for r in sorted(memory.requests, key=lambda r: r.arrival.at)]


def test_a_replica_that_dies_loses_what_it_had_and_what_had_not_begun_is_begun_anew() -> None:
    # it dies at 3.5: the request of 1.0 has its first token, that of 3.0 has not
    memory = troubled(Faults(lifetime_s=1.0), [Arrival(1.0, 0, 100), Arrival(3.0)], 3.5, 1e6, pool=fixed(1, 4))
    lost = [(e.ticket_id, e.began) for _, e, _ in memory.steps if isinstance(e, Failed)]
    assert failures(memory) == [(3.5, FailureCause.EXITED)]
    assert lost == [(1, True), (2, False)]
    assert ends(memory) == [("lost", 2.0), ("", 5.0)], "begun anew after half a second of back-off"


def test_a_short_hang_delays_what_was_under_way_and_kills_nobody() -> None:
    faults = Faults(hang_every_s=1.0, hang_s=4.0)
    memory = troubled(faults, [Arrival(1.0, 0, 11)], 1.5, 1e6, pool=fixed(1, 4))
    assert memory.requests[0].first_at == pytest.approx(6.0), "half of its second, four in the hang, the other half"
    assert failures(memory) == []


def test_a_long_hang_is_given_up_after_three_health_checks() -> None:
    faults = Faults(hang_every_s=1.0, hang_s=60.0)
    memory = troubled(faults, [Arrival(1.0, 0, 1)], 1.5, 1e6, pool=fixed(1, 4))
    assert failures(memory) == [(1.5 + UNHEALTHY_AFTER_S, FailureCause.UNHEALTHY)]
    assert [reason for reason, _ in ends(memory)] == [""], "nothing of it had been answered, so it was tried again"


def test_a_slow_replica_takes_its_factor_longer() -> None:
    faults = Faults(slow_ratio=1.0, slow_factor=3.0)
    assert troubled(faults, [Arrival(1.0, 0, 1)], 1e6).requests[0].first_at == pytest.approx(4.0)


def test_a_start_that_fails_is_tried_again_after_the_back_off() -> None:
    memory = Memory()
    told = replace(scenario(fixed(1, 1), [Arrival(1.0)], SECOND, 2.0), faults=Faults(start_failure_ratio=0.5), seed=1)
    simulation = Simulation(told, [memory])
    chance = simulation._driver._chance = Scripted(1e6)
    answers = [0.1, 0.9]
    chance.random = lambda: answers.pop(0)  # type: ignore[method-assign]
    simulation.run()
    ready = [now for now, event, _ in memory.steps if isinstance(event, ReplicaReady)]
    assert failures(memory) == [(2.0, FailureCause.EXITED)]
    assert ready == [4.5], "half a second of back-off and another start"


def test_a_start_that_takes_too_long_is_given_up() -> None:
    pool = replace(fixed(1, 1), queue=QueueSpec(cold_wait_s_max=40.0))
    pool = replace(pool, replicas=replace(pool.replicas, startup_timeout_s=10.0))
    memory = run(scenario(pool, [Arrival(1.0)], SECOND, cold_start_s=11.0))
    assert failures(memory)[0] == (10.0, FailureCause.START_TIMEOUT)
    assert [r.refused for r in memory.requests] == ["model_loading"]


class Shrinks(Policy):
    """Wants two replicas for ten seconds and then one."""

    interval_s = 2.0

    def desire(self, seen: Observation, now: float) -> Desired:
        return Desired(2 if now < 10 else 1, "a story")


def test_a_replica_whose_grace_is_over_takes_its_requests_with_it() -> None:
    bounds = ReplicaBounds(1, 2, scale_down_delay_s=0.0, drain_s_max=5.0)
    pool = PoolSpec("model", slots=1, replicas=bounds, scaling=ScalingSpec("shrinks", stable_window_s=2.0))
    arrivals = [Arrival(1.0, 0, 400), Arrival(1.0, 0, 400)]
    told = scenario(pool, arrivals, SlotsProfile(1, 1.0, 0.0, 1.0))
    memory = run(replace(told, initial=2, policies={"shrinks": lambda spec: Shrinks()}))
    failed = [(now, event.began) for now, event, _ in memory.steps if isinstance(event, Failed)]
    assert failed == [(15.0, True)]
    assert [r.refused for r in memory.requests] == ["lost", ""]


def test_a_draining_replica_may_die_before_it_is_stopped() -> None:
    bounds = ReplicaBounds(1, 2, scale_down_delay_s=0.0)
    pool = PoolSpec("model", slots=1, replicas=bounds, scaling=ScalingSpec("shrinks", stable_window_s=2.0))
    told = scenario(pool, [Arrival(1.0, 0, 400), Arrival(1.0, 0, 400)], SlotsProfile(1, 1.0, 0.0, 1.0))
    told = replace(told, initial=2, policies={"shrinks": lambda spec: Shrinks()}, faults=Faults(lifetime_s=1.0))
    memory = Memory()
    simulation = Simulation(told, [memory])
    memory.fleet = simulation.fleet
    simulation._driver._chance = Scripted(1e6, 12.0, 1e6)
    simulation.run()
    assert failures(memory) == [(12.0, FailureCause.EXITED)]
    assert sorted(r.refused for r in memory.requests) == ["", "lost"]


def test_a_simulation_holds_only_requests_under_way() -> None:
    simulation = Simulation(scenario(fixed(2, 4), busy_hour(), SlotsProfile(4, 0.5)), [])
    most = 0

    def look(now: float) -> None:
        nonlocal most
        most = max(most, len(simulation._requests) + len(simulation._clock._heap))

    simulation.run(look)
    assert most < 60


def test_a_request_tells_when_it_was_dispatched_and_by_whom() -> None:
    request: Request = run(scenario(fixed(1, 1), [Arrival(1.0)], SECOND)).requests[0]
    assert (request.dispatched_at, request.first_at, request.replica_id, request.refused) == (1.0, 2.0, 1, "")
