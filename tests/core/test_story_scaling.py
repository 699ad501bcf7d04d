"""Stories of scaling: what each policy wants for which load, and what the guard makes of it."""

from itertools import count

import pytest

from tests.core.story import ROOMY, Story, arrival, decisions, only, refusals, routes, starts, stops, warm
from toque.core.fleet import Fleet
from toque.core.scaling import POLICIES
from toque.model.condition import FailureCause
from toque.model.messages import Abandoned, Finished, RecordDecision, ReplicaFailed, ReplicaReady, SpecChanged, Woke
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec

QUICK = ReplicaBounds(minimum_warm=1, maximum=10, step_up_max=10, step_down_max=10, scale_down_delay_s=0.0)


def concurrency(bounds: ReplicaBounds, target: float = 2.0, slots: int = 4, window_s: float = 60.0) -> PoolSpec:
    scaling = ScalingSpec("concurrency", target, stable_window_s=window_s)
    return PoolSpec("chat", slots=slots, replicas=bounds, scaling=scaling, queue=QueueSpec(wait_s_max=1e6))


def hold(story: Story, requests: int, now: float, first: int = 1) -> list[int]:
    """So many requests arrive and stay."""
    tickets = list(range(first, first + requests))
    story.at(now, *map(arrival, tickets))
    return tickets


def finish(story: Story, tickets: list[int], now: float) -> None:
    for ticket in tickets:
        story.at(now, Finished(ticket))


# ---- policies --------------------------------------------------------------------------------------------------------


def test_concurrency_follows_the_burst_window_up() -> None:
    story = warm(concurrency(QUICK))
    hold(story, 8, now=10.0)
    assert decisions(story.until(11.9)) == []
    assert decisions(story.until(12.0)) == [(1, 2)], "8 for 2 s of 6: 2.67, two a replica"
    assert decisions(story.until(14.0)) == [(2, 3)], "8 for 4 s of 6: 5.33"
    assert decisions(story.until(16.0)) == [(3, 4)], "8 for 6 s of 6: 8"
    assert decisions(story.until(60.0)) == []


def test_concurrency_follows_the_stable_window_down() -> None:
    story = Story(concurrency(QUICK), loads_in_s=0.1)
    tickets = hold(story, 8, now=10.0)
    story.until(100.0)
    finish(story, tickets, now=101.0)
    # t seconds later the window still holds 8 requests for 60 - t of its 60 seconds; two a replica
    fewer = [(story.now, change) for now in range(102, 180, 2) for change in decisions(story.until(float(now)))]
    assert fewer == [(116.0, (4, 3)), (132.0, (3, 2)), (146.0, (2, 1))]


def test_wakes_that_come_late_keep_the_beat_and_a_missed_beat_begins_a_new_one() -> None:
    fleet = Fleet(FleetSpec((concurrency(QUICK),), ROOMY), 0.0)
    fleet.handle(Woke(), 0.0)
    fleet.handle(arrival(1), 0.0)
    asked_at = []
    for late_s in (0.1, 0.1, 0.1, 3.0, 0.0):
        now = fleet.next_wake() + late_s
        fleet.handle(Woke(), now)
        asked_at.append(round(now, 1))
    assert asked_at == [2.1, 4.1, 6.1, 11.0, 13.0]


def test_concurrency_without_a_target_uses_seven_tenths_of_the_slots() -> None:
    story = warm(concurrency(QUICK, target=0.0, slots=10))
    hold(story, 14, now=10.0)
    story.until(100.0)
    assert story.fleet.pools["chat"].supply.roster.live == 2
    hold(story, 1, now=100.0, first=100)
    assert decisions(story.until(200.0)) == [(2, 3)]


def test_the_classic_rate_rule_steps_up_holds_and_steps_down() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=3, scale_down_delay_s=0.0)
    spec = PoolSpec("chat", slots=100, replicas=bounds, scaling=ScalingSpec("rate", 2.0, stable_window_s=1.0))
    story = warm(spec)
    tickets = count(1)

    def interval(requests: int, now: float) -> list[tuple[int, int]]:
        """Requests come and go within five seconds; return the decision at their end."""
        for _ in range(requests):
            ticket = next(tickets)
            story.at(now + 2.0, arrival(ticket), Finished(ticket))
        return decisions(story.until(now + 5.0))

    story.at(4.9, arrival(0), Finished(0))  # from now on it is asked each 5 s
    assert interval(10, now=5.0) == [], "2/s for one replica is no more than its target"
    assert interval(11, now=10.0) == [(1, 2)], "2.2/s is above it"
    story.at(15.0, ReplicaReady(2))
    assert interval(15, now=15.0) == [], "1.5/s each"
    assert interval(10, now=20.0) == [], "1/s each is half of the target, not below it"
    assert interval(9, now=25.0) == [(2, 1)], "0.9/s each is below half"
    assert interval(0, now=30.0) == [], "minimum warm"


def test_the_rate_rule_wants_one_replica_while_somebody_waits_for_an_empty_pool() -> None:
    bounds = ReplicaBounds(minimum_warm=0, maximum=3)
    story = Story(PoolSpec("chat", replicas=bounds, scaling=ScalingSpec("rate")))
    story.at(10.0, arrival(1))
    story.at(14.9, ReplicaFailed(1, FailureCause.EXITED, "it died"))
    (record,) = only(story.until(15.0), RecordDecision)
    assert (record.decision.desired.replicas, record.decision.desired.reason) == (1, "a request waits")
    story.at(16.0, Abandoned(1))
    story.at(19.9, ReplicaFailed(2, FailureCause.EXITED, "it died"))
    (record,) = only(story.until(20.0), RecordDecision)
    assert (record.decision.desired.replicas, record.decision.after) == (0, 0)


def test_a_fixed_pool_has_its_number_and_keeps_it() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=8, step_up_max=2)
    story = Story(PoolSpec("chat", replicas=bounds, scaling=ScalingSpec("fixed", 5.0)), loads_in_s=0.5)
    assert decisions(story.until(100.0)) == [(1, 3), (3, 5)]
    hold(story, 50, now=100.0)
    assert decisions(story.until(200.0)) == []


def test_a_fixed_pool_without_a_number_has_its_minimum() -> None:
    story = warm(PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=2, maximum=8), scaling=ScalingSpec("fixed")))
    hold(story, 50, now=1.0)
    assert starts(story.until(100.0)) == []


def test_a_pool_of_others_replicas_never_changes_its_number() -> None:
    story = warm(PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=1, maximum=9), elastic=False))
    hold(story, 50, now=1.0)
    assert starts(story.until(1000.0)) == []


# ---- guard -----------------------------------------------------------------------------------------------------------


def test_never_more_than_the_maximum() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=3)))
    hold(story, 100, now=1.0)
    effects = story.until(200.0)
    assert starts(effects) == [2, 3]
    assert "not above 3" in only(effects, RecordDecision)[-1].decision.allowed.reason


def test_never_fewer_than_minimum_warm() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=2, maximum=3)))
    effects = story.until(1000.0)
    assert stops(effects) == []
    assert "not below 2" in only(effects, RecordDecision)[-1].decision.allowed.reason


def test_growth_goes_in_steps_that_may_double_the_pool() -> None:
    story = Story(concurrency(ReplicaBounds(minimum_warm=1, maximum=50, step_up_max=3), target=1.0), loads_in_s=0.1)
    story.until(100.0)
    hold(story, 50, now=100.0)
    changes = decisions(story.until(110.0))
    assert changes == [(1, 4), (4, 8), (8, 16), (16, 32), (32, 50)]


def test_starting_replicas_are_counted_before_more_are_ordered() -> None:
    story = warm(concurrency(QUICK))
    hold(story, 8, now=10.0)
    assert starts(story.until(100.0)) == [2, 3, 4], "nobody became ready, and yet no more are ordered"


def test_shrinking_waits_for_demand_that_stayed_low() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=2, scale_down_delay_s=60.0)
    story = Story(concurrency(bounds), loads_in_s=1.0)
    story.until(100.0)
    tickets = hold(story, 4, now=100.0)
    assert starts(story.until(110.0)) == [2]
    finish(story, tickets, now=200.0)
    # 4 (60 - t) / 60 is at most two from t = 30 on; the last decision for two replicas falls at 228
    assert stops(story.until(287.9)) == []
    assert stops(story.until(288.0)) == [2]


def test_shrinking_goes_in_steps() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=4, step_down_max=1, scale_down_delay_s=0.0)
    story = Story(concurrency(bounds, window_s=6.0), loads_in_s=0.1)
    story.until(10.0)
    tickets = hold(story, 8, now=10.0)
    story.until(50.0)
    finish(story, tickets, now=50.0)
    assert decisions(story.until(100.0)) == [(4, 3), (3, 2), (2, 1)]


def test_no_shrinking_before_one_window_has_filled() -> None:
    bounds = ReplicaBounds(minimum_warm=0, maximum=4, scale_down_delay_s=0.0, idle_to_zero_s=0.0)
    story = Story(concurrency(bounds, window_s=60.0), loads_in_s=0.1)
    story.at(0.0, arrival(1))
    story.at(1.0, Finished(1))
    effects = story.until(59.9)
    assert stops(effects) == []
    assert stops(story.until(62.0)) == [1]


def test_a_loading_replica_is_never_stopped_and_its_elder_stays_until_it_is_ready() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=2, scale_down_delay_s=0.0)
    story = warm(concurrency(bounds, window_s=6.0))
    tickets = hold(story, 4, now=20.0)
    assert starts(story.until(30.0)) == [2]
    finish(story, tickets, now=30.0)
    assert stops(story.until(100.0)) == [], "one is enough, but it must be one that answers"
    assert routes(story.at(100.0, arrival(50), Finished(50))) == [(50, 1)]
    assert stops(story.at(200.0, ReplicaReady(2))) == [2]


def test_surplus_drains_the_least_busy_and_then_the_youngest() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=3, scale_down_delay_s=0.0, step_down_max=2)
    story = Story(concurrency(bounds, target=2.0, slots=2, window_s=6.0), loads_in_s=0.1)
    story.until(10.0)
    hold(story, 6, now=10.0)
    story.until(30.0)
    finish(story, [1, 4, 5, 6], now=30.0)  # replica 1 has one in flight, as has another; the third has none
    busy = {replica for replica in story.ledger.where.values() if replica}
    (idle,) = {1, 2, 3} - busy
    story_stops = stops(story.until(35.9))
    assert story_stops[:1] == [idle]


def test_a_draining_replica_gets_nothing_new_and_stops_when_it_has_finished() -> None:
    story, keeper, leaver = draining()
    kept, leaving = (t for t, replica in sorted(story.ledger.where.items(), key=lambda pair: pair[1] != keeper))
    assert story.ledger.where[leaving] == leaver
    assert routes(story.at(40.0, arrival(50))) == [(50, keeper)]
    assert stops(story.at(41.0, Finished(leaving))) == [leaver]
    story.at(42.0, Finished(kept))


def draining() -> tuple[Story, int, int]:
    """Two replicas with one request each, of which one drains: (story, the one that stays, the one that goes)."""
    bounds = ReplicaBounds(minimum_warm=1, maximum=2, scale_down_delay_s=0.0, drain_s_max=20.0)
    story = Story(concurrency(bounds, target=4.0, slots=4, window_s=6.0), loads_in_s=0.1)
    story.until(10.0)
    tickets = hold(story, 8, now=10.0)
    story.until(30.0)
    keep = [next(t for t in tickets if story.ledger.where[t] == replica) for replica in (1, 2)]
    finish(story, [t for t in tickets if t not in keep], now=30.0)
    assert stops(story.until(39.0)) == []
    ((leaver, _),) = story.fleet.pools["chat"].supply.roster.draining.items()
    return story, 3 - leaver, leaver


def test_grace_ends_a_drain() -> None:
    story, _, leaver = draining()
    began = story.fleet.pools["chat"].supply.roster.replicas[leaver].drain_until - 20.0
    assert stops(story.until(began + 19.9)) == []
    assert stops(story.until(began + 20.0)) == [leaver]


def test_a_draining_replica_is_recalled_before_another_is_started() -> None:
    story, keeper, leaver = draining()
    effects = story.at(40.0, ReplicaFailed(keeper, FailureCause.EXITED, "it died"))
    assert starts(effects) == []
    assert routes(story.at(40.1, arrival(50))) == [(50, leaver)]


def test_those_who_wait_are_served_by_a_recalled_replica_at_once() -> None:
    story, keeper, leaver = draining()
    story.at(40.0, *(arrival(ticket) for ticket in range(50, 60)))
    waiting = [ticket for ticket, replica in story.ledger.where.items() if replica is None]
    assert len(waiting) == 7
    effects = story.at(40.5, ReplicaFailed(keeper, FailureCause.EXITED, "it died"))
    assert routes(effects) == [(ticket, leaver) for ticket in waiting[:3]]


# ---- zero ------------------------------------------------------------------------------------------------------------


def sleepy(idle_to_zero_s: float = 300.0, stops_at_once: bool = False) -> Story:
    """A pool that may be empty, whose only replica finished its only request at the instant 10."""
    bounds = ReplicaBounds(minimum_warm=0, maximum=1, idle_to_zero_s=idle_to_zero_s)
    story = Story(concurrency(bounds), loads_in_s=1.0 if stops_at_once else None)
    story.at(0.0, arrival(1))
    if not stops_at_once:
        story.ready(1.0, 1)
    story.at(10.0, Finished(1))
    return story


def test_the_last_replica_stops_after_idleness_and_the_pool_rests() -> None:
    story = sleepy()
    assert stops(story.until(309.9)) == []
    assert stops(story.until(310.0)) == [1]
    story.until(320.0)
    assert story.fleet.next_wake() == float("inf")


def test_a_request_restarts_the_idleness() -> None:
    story = sleepy()
    story.at(309.0, arrival(2))
    story.at(309.5, Finished(2))
    assert stops(story.until(609.4)) == []
    assert stops(story.until(609.5)) == [1]


def test_short_idleness_waits_for_the_averages_to_empty_but_not_for_the_delay() -> None:
    story = sleepy(idle_to_zero_s=5.0)
    assert stops(story.until(69.9)) == []
    assert stops(story.until(72.0)) == [1]


def test_l09_a_request_at_the_instant_of_scale_to_zero_keeps_the_replica() -> None:
    story = sleepy()
    story.until(309.9)
    story.now = 310.0
    assert routes(story.happen(arrival(2))) == [(2, 1)]
    assert stops(story.until(311.0)) == []


def test_l09_a_request_just_after_scale_to_zero_gets_a_cold_start() -> None:
    story = sleepy()
    assert stops(story.until(310.0)) == [1]
    assert starts(story.at(310.0, arrival(2))) == [2]
    assert routes(story.ready(311.0, 2)) == [(2, 2)]


def test_a_start_nobody_waits_for_any_more_is_let_go_later() -> None:
    bounds = ReplicaBounds(minimum_warm=0, maximum=1, idle_to_zero_s=100.0)
    story = Story(concurrency(bounds), loads_in_s=30.0)
    story.at(0.0, arrival(1))
    story.at(1.0, Abandoned(1))
    effects = story.until(1000.0)
    assert stops(effects) == [1]


# ---- rest and calm ---------------------------------------------------------------------------------------------------


def test_a_pool_at_rest_does_not_tick() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=4)), PoolSpec("other"))
    story.until(10.0)
    assert story.fleet.next_wake() == float("inf")
    story.at(100.0, arrival(1), Finished(1))
    assert story.fleet.next_wake() == 102.0
    story.until(200.0)
    assert story.fleet.next_wake() == float("inf")


def test_a_fleet_without_pools_never_wakes() -> None:
    assert Story().fleet.next_wake() == float("inf")


def test_a_calm_fixed_pool_above_its_minimum_does_not_tick() -> None:
    story = Story(
        PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=1, maximum=3), scaling=ScalingSpec("fixed", 3.0)),
        loads_in_s=0.1,
    )
    story.until(100.0)
    assert story.fleet.next_wake() == float("inf")


@pytest.mark.parametrize("policy", sorted(POLICIES.keys() - {"fixed", "rate"}))
def test_a_calm_pool_comes_back_to_its_minimum_whatever_its_policy_remembers(policy: str) -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=4, idle_to_zero_s=30.0)
    spec = PoolSpec("chat", replicas=bounds, scaling=ScalingSpec(policy, 1.0), queue=QueueSpec(wait_s_max=1e6))
    story = Story(spec, loads_in_s=0.1)
    story.at(0.0, *map(arrival, range(1, 5)))
    story.until(60.0)
    assert story.fleet.pools["chat"].supply.roster.live > 1
    story.at(61.0, *map(Finished, range(1, 5)))
    story.until(4000.0)
    assert story.fleet.pools["chat"].supply.roster.live == 1
    assert story.fleet.next_wake() == float("inf"), "and then it rests"


def test_decisions_are_told_once_not_every_interval() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=4)))
    hold(story, 2, now=10.0)
    assert len(only(story.until(1000.0), RecordDecision)) <= 3


def test_l11_a_square_wave_starts_each_replica_once() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=4, scale_down_delay_s=60.0)
    story = Story(concurrency(bounds), loads_in_s=5.0)
    started, stopped, tickets = 0, 0, count(1)
    for period in range(10):
        burst = hold(story, 8, now=100.0 + 60.0 * period, first=next(tickets) * 1000)
        effects = story.until(story.now + 30.0)
        finish(story, burst, now=story.now)
        effects += story.until(story.now + 29.9)
        started, stopped = started + len(starts(effects)), stopped + len(stops(effects))
    assert (started, stopped) == (3, 0)


def test_refused_requests_count_as_load() -> None:
    bounds = ReplicaBounds(minimum_warm=1, maximum=3)
    queue = QueueSpec(length_max=0)
    story = warm(PoolSpec("chat", replicas=bounds, queue=queue, scaling=ScalingSpec("rate", 2.0)))
    effects = story.at(10.0, *(arrival(ticket) for ticket in range(1, 20)))
    assert len(refusals(effects)) == 18
    assert decisions(story.until(15.0)) == [(1, 2)]


def test_o14_no_more_than_one_replica_is_ordered_before_a_cold_model_has_shown_that_it_loads() -> None:
    bounds = ReplicaBounds(minimum_warm=0, maximum=4)
    story = Story(concurrency(bounds))
    story.at(1.0, *map(arrival, range(1, 41)))
    assert only(story.until(20.0), RecordDecision)[0].decision.allowed.reason == "the first replica is still loading"
    assert story.fleet.pools["chat"].supply.roster.live == 1
    assert decisions(story.ready(20.0, 1) + story.until(22.0)) == [(1, 4)]


# ---- a number that somebody else sets --------------------------------------------------------------------------------


def test_a_number_that_is_set_is_obeyed_at_once_and_the_policy_only_advises() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=4, step_down_max=1)))
    told = [story.at(10.0, bounded(3)), story.ready(10.0, 2, 3), story.until(12.0)]
    assert starts(told[0]) == [2, 3], "no step, no wait for the next interval"
    (decision,) = [record.decision for record in only(told[2], RecordDecision)]
    assert (decision.desired.replicas, decision.allowed.replicas) == (0, 3)
    assert decision.allowed.reason == "replicas.target is set to 3"
    assert stops(story.at(13.0, bounded(1))) == [3, 2], "nor a delay: whoever set it has one"
    story.until(100.0)
    assert story.fleet.next_wake() == float("inf"), "and a calm pool rests"


def test_a_number_that_is_set_stays_within_the_bounds() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=2)))
    assert starts(story.at(10.0, bounded(9, maximum=2))) == [2]
    assert reason(story, 12.0) == "replicas.target is set to 9, not above 2"
    assert stops(story.at(20.0, bounded(1, minimum=2, maximum=2))) == []
    assert reason(story, 22.0) == "replicas.target is set to 1, not below 2"


def test_without_a_number_toque_decides_again_from_what_there_is() -> None:
    story = warm(concurrency(ReplicaBounds(minimum_warm=1, maximum=4, scale_down_delay_s=30.0)))
    story.at(100.0, bounded(3))
    story.ready(100.0, 2, 3)
    assert stops(story.at(200.0, bounded(0))) == []
    assert decisions(story.until(300.0)) == [(3, 2), (2, 1)], "by its own steps and delays"


def reason(story: Story, now: float) -> str:
    """Why the pool has the size it has at this instant."""
    story.until(now)
    decision = story.fleet.pools["chat"].decision
    assert decision is not None
    return decision.allowed.reason


def bounded(target: int, minimum: int = 1, maximum: int = 4) -> SpecChanged:
    """The settings change to a target, between bounds."""
    bounds = ReplicaBounds(minimum_warm=minimum, maximum=maximum, target=target, scale_down_delay_s=30.0)
    return SpecChanged(FleetSpec((concurrency(bounds),), ROOMY))
