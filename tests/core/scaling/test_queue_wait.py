"""The queue-wait policy: what it learns, when it acts, and that it forgets."""

from dataclasses import replace

from tests.core.scaling.sight import pool, sight
from tests.core.story import Story, arrival
from toque.core.scaling.queue_wait import CALM_S, LEARNING_S, QueueWait
from toque.model.decision import Observation
from toque.model.messages import Finished
from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec


def settle(policy: QueueWait, seen: Observation, start: float, seconds: float) -> int:
    """Show the same for a while, each 2 s; return what is wanted at the end."""
    wanted = 0
    for step in range(int(seconds / 2) + 1):
        wanted = policy.desire(seen, start + 2.0 * step).replicas
    return wanted


def test_an_even_load_gets_the_replicas_that_carry_it() -> None:
    # 4 a second, 4 s each (Little: 16 in flight): 16 slots would be full, and full ones are slower; 24 carry it
    policy = QueueWait(pool(slots=8))
    assert settle(policy, sight(ready=3, load=16.0, arrivals_per_s=4.0), 0.0, 2 * LEARNING_S) == 3


def test_it_is_not_below_what_it_found_until_it_has_seen_enough() -> None:
    policy = QueueWait(pool(slots=8))
    little = sight(ready=6, load=2.0, arrivals_per_s=1.0)
    assert settle(policy, little, 0.0, LEARNING_S - 2) == 6
    assert settle(policy, little, LEARNING_S, 0.0) == 1


def test_a_peak_shorter_than_a_cold_start_orders_little_and_a_lasting_one_much() -> None:
    policy = QueueWait(pool(slots=1))
    calm, peak = sight(load=1.0, cold_start_s=60.0), sight(load=10.0, cold_start_s=60.0)
    settle(policy, calm, 0.0, 600.0)
    assert policy.desire(peak, 602.0).replicas <= 2, "2 s of ten, averaged over 60 s"
    assert settle(policy, peak, 604.0, 240.0) >= 10


def test_with_a_short_cold_start_a_peak_counts_at_once_and_is_held_a_minute() -> None:
    policy = QueueWait(pool(slots=1))
    settle(policy, sight(load=1.0, cold_start_s=2.0), 0.0, 600.0)
    assert policy.desire(sight(load=5.0, cold_start_s=2.0), 602.0).replicas >= 5
    assert settle(policy, sight(load=1.0, cold_start_s=2.0), 604.0, 56.0) >= 5
    assert settle(policy, sight(load=1.0, cold_start_s=2.0), 662.0, 10.0) == 1


def test_what_it_missed_itself_makes_it_stricter() -> None:
    # the replicas that are there miss in truth what no rule foresees: long answers in a row
    hopeful, warned = QueueWait(pool(slots=8)), QueueWait(pool(slots=8))
    fine = sight(ready=2, load=9.0, arrivals_per_s=3.0)
    settle(hopeful, fine, 0.0, 2 * LEARNING_S)
    settle(warned, replace(fine, waiting=3, waiting_s=5.0), 0.0, 2 * LEARNING_S)
    assert hopeful._misses_allowed() > 0
    assert warned._misses_allowed() == 0


def test_after_a_long_calm_it_wants_none_and_needs_no_further_question() -> None:
    policy = QueueWait(pool())
    assert settle(policy, sight(load=3.0, arrivals_per_s=1.0), 0.0, 100.0) == 1
    assert settle(policy, sight(), 102.0, CALM_S - 4) == 1
    assert policy.foresees
    assert policy.desire(sight(), 100.0 + CALM_S).replicas == 0
    assert not policy.foresees


def test_a_pool_of_its_own_rests_in_the_end_and_wakes_with_the_next_request() -> None:
    bounds = ReplicaBounds(minimum_warm=0, maximum=4, idle_to_zero_s=60.0)
    spec = PoolSpec("chat", slots=2, replicas=bounds, scaling=ScalingSpec("queue_wait"), queue=QueueSpec())
    story = Story(spec, loads_in_s=1.0)
    story.at(5.0, arrival(1))
    story.at(20.0, Finished(1))
    story.until(3000.0)
    assert story.fleet.pools["chat"].supply.roster.live == 0
    assert story.fleet.next_wake() == float("inf"), "nobody asks, so nothing ticks"
    story.at(10_000.0, arrival(2))
    story.until(10_010.0)
    assert story.fleet.pools["chat"].supply.roster.ready == 1
    story.check_replay()
