"""Stories of failure: retries, doubt and probes, deaths, back-off and crash loops."""

from math import inf

import pytest

from tests.core.story import Story, arrival, only, refusals, routes, starts, stops, warm
from toque.core.snapshot import view_fleet
from toque.model.condition import FailureCause
from toque.model.messages import (
    Abandoned,
    Dispatch,
    Failed,
    Finished,
    ProbeReplica,
    Refuse,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
    SpecChanged,
)
from toque.model.spec import ColdStart, PoolSpec, QueueSpec, ReplicaBounds, RestartSpec, RetrySpec
from toque.model.ticket import FailureKind


def chat(
    slots: int = 2,
    replicas: int = 2,
    queue: QueueSpec | None = None,
    retry: RetrySpec | None = None,
    restart: RestartSpec | None = None,
) -> PoolSpec:
    return PoolSpec(
        "chat",
        slots=slots,
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=max(1, replicas)),
        queue=queue or QueueSpec(),
        retry=retry or RetrySpec(),
        restart=restart or RestartSpec(),
    )


def lost(ticket_id: int, *, began: bool = False) -> Failed:
    return Failed(ticket_id, FailureKind.LOST, began)


def death(replica_id: int, cause: FailureCause = FailureCause.EXITED) -> ReplicaFailed:
    return ReplicaFailed(replica_id, cause, "it exited with status 1")


# ---- retries ---------------------------------------------------------------------------------------------------------


def test_r01_a_lost_request_is_tried_once_more_on_another_replica() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    assert story.at(2.0, lost(1)) == [ProbeReplica(1), Dispatch(1, 2)]
    assert story.at(3.0, Finished(1)) == []


def test_a_request_lost_twice_is_given_up() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    story.at(2.0, lost(1))
    story.at(2.5, ReplicaHealthy(1))
    effects = story.at(3.0, lost(1))
    assert only(effects, ProbeReplica) == [ProbeReplica(2)]
    assert refusals(effects) == [(1, "upstream_lost")]


def test_r02_after_the_first_byte_nothing_is_tried_again() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    assert story.at(2.0, lost(1, began=True)) == [ProbeReplica(1)]
    assert story.ledger.ended == {1: "failed"}


def test_a_retried_request_goes_to_the_front_of_the_line() -> None:
    story = warm(chat(slots=1))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    assert story.at(2.0, lost(1)) == [ProbeReplica(1)]
    assert routes(story.at(3.0, Finished(2))) == [(1, 2)]
    assert routes(story.at(4.0, Finished(1))) == [(3, 2)]


def test_a_retried_request_is_taken_in_even_by_a_full_line() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(length_max=1)))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    assert refusals(story.at(2.0, lost(1))) == []
    assert refusals(story.at(2.0, arrival(4))) == [(4, "queue_full")]


def test_a_retry_avoids_the_replica_that_failed_where_there_is_another() -> None:
    story = warm(chat(slots=4))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    story.at(2.0, Finished(1), Finished(3))
    assert routes(story.at(3.0, arrival(4))) == [(4, 1)]
    story.at(3.0, arrival(5))
    story.at(4.0, Finished(5))
    assert routes(story.at(5.0, Failed(4, FailureKind.ERROR))) == []
    assert routes(story.until(5.15)) == [(4, 2)]


def test_a_retry_takes_the_same_replica_where_there_is_no_other() -> None:
    story = warm(chat(replicas=1))
    story.at(1.0, arrival(1))
    assert story.at(2.0, Failed(1, FailureKind.ERROR)) == []
    assert routes(story.until(2.15)) == [(1, 1)]


def test_what_failed_together_does_not_come_back_together() -> None:
    story = warm(chat(slots=20))
    story.at(1.0, *map(arrival, range(1, 9)))
    story.at(2.0, *(Failed(ticket, FailureKind.ERROR) for ticket in range(1, 9) if story.ledger.where[ticket] == 1))
    story.until(3.0)
    again = {round(now, 3): routes(effects) for now, _, effects in story.journal if now > 2.0 and routes(effects)}
    assert len(again) == 4
    assert all(2.05 <= now <= 2.15 for now in again)


def test_a_busy_replica_is_not_asked_again_by_the_same_request() -> None:
    story = warm(chat(replicas=1))
    story.at(1.0, arrival(1))
    assert refusals(story.at(2.0, Failed(1, FailureKind.BUSY))) == [(1, "upstream_lost")]


def test_a_request_that_rests_may_leave_run_out_of_time_or_be_refused_with_its_pool() -> None:
    story = warm(chat(replicas=1))
    story.at(1.0, arrival(1), arrival(2, deadline=2.04))
    story.at(2.0, Failed(1, FailureKind.ERROR), Failed(2, FailureKind.ERROR))
    assert refusals(story.until(2.04)) == [(2, "deadline_exceeded")]
    assert story.at(2.04, Abandoned(1)) == []
    assert story.fleet.pools["chat"].line.next_deadline() == float("inf")
    story.at(3.0, arrival(3))
    story.at(3.0, Failed(3, FailureKind.ERROR))
    effects = story.at(3.0, death(1, FailureCause.INVALID_MODEL))
    assert refusals(effects) == [(3, "no_healthy_replica")]


@pytest.mark.parametrize("kind", [FailureKind.TIMEOUT, FailureKind.INVALID])
def test_work_that_was_done_in_vain_is_not_repeated(kind: FailureKind) -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    assert refusals(story.at(2.0, Failed(1, kind))) == [(1, "upstream_lost")]


def test_a_request_that_was_never_sent_is_tried_more_often() -> None:
    story = warm(chat(replicas=4))
    story.at(1.0, arrival(1))
    not_sent = Failed(1, FailureKind.NOT_SENT)
    assert [routes(story.at(2.0, not_sent)) for _ in range(3)] == [[(1, 2)], [(1, 3)], [(1, 4)]]
    assert refusals(story.at(2.0, not_sent)) == [(1, "upstream_lost")]


def test_without_attempts_nothing_is_tried_again() -> None:
    story = warm(chat(retry=RetrySpec(attempts_max=0)))
    story.at(1.0, arrival(1))
    assert refusals(story.at(2.0, Failed(1, FailureKind.NOT_SENT))) == [(1, "upstream_lost")]


def test_o03_an_exhausted_budget_stops_retries_until_one_of_them_ends() -> None:
    story = warm(chat(slots=10, retry=RetrySpec(budget_min=1, budget_ratio=0.2, backoff_s=0.0)))
    story.at(1.0, *map(arrival, range(1, 11)))  # ten in flight allow two retries
    error = [Failed(ticket, FailureKind.ERROR) for ticket in range(11)]
    assert routes(story.at(2.0, error[1], error[2])) == [(1, 2), (2, 1)]
    assert refusals(story.at(3.0, error[3])) == [(3, "upstream_lost")]
    story.at(4.0, Finished(1))
    assert refusals(story.at(5.0, error[4])) == [(4, "upstream_lost")], "eight in flight allow one"
    story.at(6.0, Abandoned(2))
    assert len(routes(story.at(7.0, error[5]))) == 1


def test_o03_in_a_retry_storm_replicas_see_at_most_a_fifth_more_than_clients_send() -> None:
    story = warm(chat(slots=50, replicas=4))
    asked = answers = 0
    for beat in range(200):  # clients ask again at once whatever they hear; every third attempt fails
        story.at(beat * 0.1, *map(arrival, range(asked + 1, asked + 11)))
        asked += 10
        for ticket in [ticket for ticket, replica in story.ledger.where.items() if replica]:
            answers += 1
            story.at(beat * 0.1 + 0.01, Finished(ticket, 0.01) if answers % 3 else Failed(ticket, FailureKind.ERROR))
    attempts = sum(len(routes(effects)) for _, _, effects in story.journal)
    assert asked == 2000
    assert 1.1 * asked < attempts <= 1.2 * asked + 10, "and the ten that are always allowed"


def test_o03_the_death_of_a_replica_with_many_requests_finds_retries_saved_up() -> None:
    story = warm(chat(slots=100, replicas=2))
    story.at(0.0, *map(arrival, range(1, 201)))
    story.at(1.0, *(Finished(ticket, 0.1) for ticket in range(1, 101)))
    story.at(2.0, *map(arrival, range(201, 301)))
    mine = [ticket for ticket, replica in story.ledger.where.items() if replica == 1]
    assert len(mine) == 100
    effects = story.at(3.0, *map(lost, mine), death(1))
    assert len(refusals(effects)) == 67, "of 200 in flight a fifth may be tried again, and of those left"


def test_a_retry_gets_a_new_wait_but_not_a_new_deadline() -> None:
    story = warm(chat(slots=1, replicas=1, queue=QueueSpec(wait_s_max=30.0, cold_wait_s_max=100.0)))
    story.at(0.0, arrival(1), arrival(2, deadline=90.0))
    story.at(20.0, Finished(1))
    assert refusals(story.at(60.0, lost(2), death(1))) == []
    story.at(60.0, arrival(3))
    assert refusals(story.until(89.0)) == [], "the wait bound of its first wait is over, but it did not wait that long"
    assert refusals(story.until(90.0)) == [(2, "deadline_exceeded")]


def test_a_request_is_not_retried_after_its_deadline() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1, deadline=5.0))
    assert refusals(story.at(6.0, lost(1))) == [(1, "upstream_lost")]


def test_words_about_a_call_that_was_taken_back_change_nothing() -> None:
    story = warm(chat(slots=1, replicas=1))
    story.at(1.0, arrival(1))
    story.at(2.0, lost(1))
    assert story.at(3.0, lost(1), lost(1, began=True), Finished(1)) == []
    assert routes(story.at(4.0, ReplicaHealthy(1))) == [(1, 1)]


def test_a_client_may_leave_while_its_retry_waits() -> None:
    story = warm(chat(slots=1, replicas=1))
    story.at(1.0, arrival(1))
    story.at(2.0, lost(1))
    assert story.at(3.0, Abandoned(1)) == []
    assert story.at(4.0, ReplicaHealthy(1)) == []


# ---- doubt -----------------------------------------------------------------------------------------------------------


def test_a_doubted_replica_gets_nothing_until_its_probe_is_answered() -> None:
    story = warm(chat(slots=4, replicas=1))
    story.at(1.0, arrival(1), arrival(2))
    assert story.at(2.0, lost(1)) == [ProbeReplica(1)]
    assert story.at(2.1, arrival(3)) == []
    assert routes(story.at(2.2, ReplicaHealthy(1))) == [(1, 1), (3, 1)]
    assert story.at(2.3, Finished(2)) == []


def test_a_replica_in_doubt_is_probed_once_only() -> None:
    story = warm(chat(slots=3, replicas=1))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    effects = story.at(2.0, lost(1), lost(2), lost(3))
    assert only(effects, ProbeReplica) == [ProbeReplica(1)]


@pytest.mark.parametrize("kind", [FailureKind.ERROR, FailureKind.BUSY, FailureKind.INVALID])
def test_an_answer_however_bad_casts_no_doubt(kind: FailureKind) -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    assert only(story.at(2.0, Failed(1, kind)), ProbeReplica) == []


def test_health_reported_without_doubt_changes_nothing() -> None:
    story = warm(chat())
    assert story.at(1.0, ReplicaHealthy(1), ReplicaReady(1), ReplicaSpawned(1), ReplicaLoaded(1)) == []


def test_words_about_unknown_replicas_change_nothing() -> None:
    story = warm(chat())
    for event in (ReplicaSpawned(9), ReplicaLoaded(9), ReplicaReady(9), ReplicaHealthy(9), death(9), ReplicaStopped(9)):
        assert story.at(1.0, event) == []


# ---- deaths ----------------------------------------------------------------------------------------------------------


def test_r01_the_requests_of_a_dead_replica_go_elsewhere_and_it_is_replaced() -> None:
    story = warm(chat(slots=2))
    story.at(10.0, arrival(1), arrival(2), arrival(3))
    assert story.at(20.0, death(1)) == []
    assert routes(story.at(20.0, lost(1))) == [(1, 2)]
    assert routes(story.at(20.0, lost(3))) == [], "the other one is full"
    assert starts(story.until(20.4)) == []
    assert starts(story.until(20.5)) == [3]
    assert routes(story.ready(25.0, 3)) == [(3, 3)]


def test_a_death_may_be_told_after_the_loss_of_its_requests() -> None:
    story = warm(chat(slots=1, replicas=1))
    story.at(10.0, arrival(1))
    assert story.at(20.0, lost(1)) == [ProbeReplica(1)]
    assert story.at(20.1, death(1)) == []
    assert starts(story.until(20.6)) == [2]
    assert only(story.ready(25.0, 2), Dispatch) == [Dispatch(1, 2, 5.0)], (
        "it waited for a replica to load since it was put back"
    )


def test_a_replica_that_dies_while_it_stops_was_no_failure() -> None:
    spec = PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=0, maximum=1, idle_to_zero_s=100.0))
    story = Story(spec)
    story.at(0.0, arrival(1))
    story.ready(1.0, 1)
    story.at(2.0, Finished(1))
    assert stops(story.until(300.0)) == [1]
    story.at(300.0, death(1))
    assert starts(story.at(300.1, arrival(2))) == [2], "no back-off"


def test_back_off_doubles_up_to_its_bound() -> None:
    restart = RestartSpec(backoff_s_min=1.0, backoff_s_max=5.0, crash_loop_failures=100)
    story = Story(chat(replicas=1, restart=restart))
    assert starts(story.until(0.0)) == [1]
    now, waits = 0.0, []
    for replica in range(1, 6):
        story.at(now, death(replica))
        later = now + next(s for s in (1.0, 2.0, 4.0, 5.0) if starts(story.until(now + s)))
        waits.append(later - now)
        now = later
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_replica_that_served_a_while_starts_the_back_off_anew() -> None:
    story = Story(chat(replicas=1))
    story.at(0.0, death(1))
    story.at(0.5, death(2))
    assert starts(story.until(1.5)) == [3]
    story.ready(2.0, 3)
    story.at(100.0, death(3))
    assert starts(story.until(100.4)) == []
    assert starts(story.until(100.5)) == [4]


def crash_loop(minimum_warm: int = 1) -> tuple[Story, float]:
    """Five deaths right after the start."""
    story = Story(chat(replicas=minimum_warm))
    story.at(0.0, arrival(1))
    now = 0.0
    for replica in range(1, 6):
        while replica not in story.ledger.replicas:
            now += 0.25
            story.until(now)
        now += 1.0
        effects = story.at(now, death(replica))
    assert refusals(effects) == [(1, "no_healthy_replica")]
    return story, now


def test_r07_a_crash_loop_refuses_at_once_and_retries_each_longest_wait() -> None:
    story, now = crash_loop()
    (refusal,) = only(story.at(now + 1.0, arrival(2)), Refuse)
    assert refusal.reason.value == "no_healthy_replica"
    assert 0.8 * 34 <= refusal.retry_after_s <= 1.2 * 34, "29 s of back-off and a guessed cold start of 5 s"

    assert starts(story.until(now + 29.9)) == []
    assert starts(story.until(now + 30.0)) == [6]
    assert refusals(story.at(now + 31.0, arrival(3))) == [(3, "no_healthy_replica")]
    story.at(now + 32.0, death(6))
    assert starts(story.until(now + 61.9)) == []
    assert starts(story.until(now + 62.0)) == [7]

    story.ready(now + 65.0, 7)
    assert routes(story.at(now + 66.0, arrival(4))) == [(4, 7)]


def forgotten_crash_loop() -> Story:
    """A pool that may be empty, whose replicas died until nobody asked any more."""
    story, now = crash_loop(minimum_warm=0)
    for replica in (6, 7):
        now += 30.0
        if starts(story.until(now)):
            story.at(now, death(replica))
    assert starts(story.until(1000.0)) == []
    return story


def test_r07_a_pool_that_may_be_empty_is_tried_again_when_somebody_asks() -> None:
    story = forgotten_crash_loop()
    effects = story.at(1000.0, arrival(2))
    assert refusals(effects) == [(2, "no_healthy_replica")]
    (replica,) = starts(effects)
    assert starts(story.at(1000.5, arrival(3))) == []
    story.ready(1001.0, replica)
    assert routes(story.at(1002.0, arrival(4))) == [(4, replica)]


def test_r07_a_replica_tried_in_vain_is_not_kept_for_ever() -> None:
    story = forgotten_crash_loop()
    (replica,) = starts(story.at(1000.0, arrival(2)))
    story.ready(1001.0, replica)
    assert stops(story.until(1600.0)) == [replica]


def test_deaths_far_apart_are_no_crash_loop() -> None:
    story = Story(chat(replicas=1), loads_in_s=0.5)
    story.until(0.0)
    for replica, now in enumerate((1.0, 21.0, 41.0, 61.0, 81.0, 101.0), start=1):
        story.at(now + 0.0, death(replica))
        story.until(now + 15.0)
    assert routes(story.at(119.0, arrival(1))) != []


def test_r08_a_start_that_takes_too_long_refuses_those_who_wait() -> None:
    spec = PoolSpec("chat", cold_start=ColdStart(load_s=10.0))
    story = Story(spec)
    story.at(0.0, arrival(1), arrival(2))
    effects = story.at(110.0, death(1, FailureCause.START_TIMEOUT))
    assert refusals(effects) == [(1, "model_loading"), (2, "model_loading")]
    assert all(refusal.retry_after_s >= 1.0 for refusal in only(effects, Refuse))
    assert starts(story.until(111.0)) == [2]


def test_r08_a_slow_start_beside_a_serving_replica_refuses_nobody() -> None:
    story = Story(chat(slots=1))
    story.ready(0.0, 1)
    story.at(110.0, arrival(1), arrival(2))
    assert refusals(story.at(120.0, death(2, FailureCause.START_TIMEOUT))) == []


def test_r09_a_model_that_cannot_be_loaded_is_a_crash_loop_at_once() -> None:
    story = Story(chat(replicas=1), PoolSpec("other"))
    story.ready(0.0, 2)
    story.at(0.0, arrival(1))
    assert refusals(story.at(1.0, death(1, FailureCause.INVALID_MODEL))) == [(1, "no_healthy_replica")]
    assert refusals(story.at(2.0, arrival(2))) == [(2, "no_healthy_replica")]
    assert starts(story.until(30.9)) == []
    assert starts(story.until(31.0)) == [3]
    assert routes(story.at(32.0, arrival(3, "other"))) == [(3, 2)]


def test_cold_start_phases_are_measured() -> None:
    story = Story(chat(replicas=1))
    story.at(2.0, ReplicaSpawned(1))
    story.at(9.0, ReplicaLoaded(1))
    story.ready(10.0, 1)
    assert story.fleet.pools["chat"].forecast.cold_start == ColdStart(spawn_s=2.0, load_s=7.0, warm_up_s=1.0)


def test_an_unhealthy_replica_that_is_ended_by_its_driver_is_replaced() -> None:
    story = warm(chat(replicas=1))
    story.at(50.0, death(1, FailureCause.UNHEALTHY))
    assert starts(story.until(50.5)) == [2]


def test_a_replica_stopped_by_others_is_replaced_at_once() -> None:
    story = warm(chat(replicas=1))
    assert starts(story.at(50.0, ReplicaStopped(1))) == [2]


def test_r07_a_crash_loop_tries_one_start_at_a_time_however_many_are_missing() -> None:
    restart = RestartSpec(backoff_s_min=0.5, backoff_s_max=4.0, crash_loop_failures=3)
    story = Story(chat(replicas=3, restart=restart))
    first = starts(story.until(0.0))
    assert len(first) == 3, "the minimum warm of a pool that never failed"
    story.at(1.0, *map(death, first))
    assert starts(story.until(4.9)) == [], "three early deaths in a row are a crash loop"
    assert starts(story.until(5.0)) == [4]
    assert starts(story.until(60.0)) == [], "it still loads: nothing else is tried meanwhile"
    assert story.fleet.next_wake() > 60.0
    assert starts(story.ready(61.0, 4)) == [5, 6], "it loads after all: the others follow at once"


def test_r10_what_is_killed_for_want_of_memory_is_started_three_times_more_and_then_not_before_a_reload() -> None:
    spec = chat(replicas=1, restart=RestartSpec(backoff_s_min=1.0, crash_loop_failures=100))
    story = Story(spec)
    now, (replica,) = 0.0, starts(story.until(0.0))
    for again in range(3):
        story.ready(now + 10.0, replica)
        story.at(now + 100.0, death(replica, FailureCause.OUT_OF_MEMORY))
        now += 101.0
        (replica,) = starts(story.until(now))
        assert replica == again + 2, "one second later"
    story.ready(now + 10.0, replica)
    story.at(now + 100.0, death(replica, FailureCause.OUT_OF_MEMORY))
    assert starts(story.until(now + 1e6)) == []
    assert story.fleet.next_wake() == inf
    assert refusals(story.at(now + 1e6, arrival(1))) == [(1, "no_healthy_replica")]
    pool = view_fleet(story.fleet, story.now).pools[0]
    assert (pool.condition, pool.reason) == (
        "crash_loop",
        "it exited with status 1, for the 4th time: give the model more memory, less context or fewer slots, and reload",
    )
    assert starts(story.happen(SpecChanged(story.spec, ("chat",)))) == [5]


def test_r10_replicas_killed_together_count_once_and_one_that_lived_for_long_starts_anew() -> None:
    story = warm(chat(replicas=4, restart=RestartSpec(backoff_s_min=1.0, crash_loop_failures=100)))
    killed = [death(replica, FailureCause.OUT_OF_MEMORY) for replica in (1, 2, 3, 4)]
    story.at(100.0, *killed)
    again = starts(story.until(200.0))
    assert len(again) == 4
    story.ready(200.0, *again)
    for replica in again:
        story.at(4000.0 + replica * 100.0, death(replica, FailureCause.OUT_OF_MEMORY))
        story.ready(story.now + 50.0, *starts(story.until(story.now + 50.0)))
    assert not story.fleet.pools["chat"].supply.restart.is_given_up, "more than an hour each"
