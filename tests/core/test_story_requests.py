"""Stories of requests: dispatch, the bounded line, classes, deadlines and clients that leave."""

from math import inf

from tests.core.story import Story, arrival, only, refusals, routes, starts, warm
from toque.model.messages import Abandoned, Dispatch, Failed, Finished, Refuse, ReplicaReady
from toque.model.spec import ColdStart, PoolSpec, QueueSpec, ReplicaBounds
from toque.model.ticket import FailureKind


def chat(
    slots: int = 1, replicas: int = 1, queue: QueueSpec | None = None, cold_start: ColdStart | None = None
) -> PoolSpec:
    return PoolSpec(
        "chat",
        slots=slots,
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=max(1, replicas)),
        queue=queue or QueueSpec(),
        cold_start=cold_start or ColdStart(),
    )


def test_requests_go_to_the_least_loaded_replica() -> None:
    story = warm(chat(slots=2, replicas=3))

    effects = story.at(1.0, *(arrival(ticket) for ticket in range(1, 6)))
    assert routes(effects) == [(1, 1), (2, 2), (3, 3), (4, 1), (5, 2)]

    story.at(2.0, Finished(1), Finished(4))
    assert routes(story.at(3.0, arrival(6), arrival(7), arrival(8))) == [(6, 1), (7, 3), (8, 1)]


def test_among_equals_the_replica_idle_longest_goes_first() -> None:
    story = warm(chat(replicas=3))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    story.at(2.0, Finished(2))
    story.at(3.0, Finished(1), Finished(3))
    assert routes(story.at(4.0, arrival(4), arrival(5), arrival(6))) == [(4, 2), (5, 1), (6, 3)]


def test_a_freed_slot_is_filled_in_the_same_step() -> None:
    story = warm(chat())
    assert routes(story.at(1.0, arrival(1), arrival(2), arrival(3))) == [(1, 1)]
    assert story.at(2.0, Finished(1)) == [Dispatch(2, 1)]
    assert story.at(3.0, Finished(2)) == [Dispatch(3, 1)]
    assert story.at(4.0, Finished(3)) == []


def test_an_unknown_model_is_not_found() -> None:
    story = warm(chat())
    (refusal,) = only(story.at(1.0, arrival(1, "nobody")), Refuse)
    assert (refusal.reason.value, refusal.retry_after_s) == ("model_not_found", 0.0)


def test_a_full_line_refuses_with_the_predicted_wait() -> None:
    story = warm(chat(slots=2, queue=QueueSpec(length_max=3)))
    story.at(0.0, arrival(1))
    story.at(10.0, Finished(1))  # one service took 10 s
    story.at(10.0, *(arrival(ticket) for ticket in range(2, 7)))

    (refusal,) = only(story.at(11.0, arrival(7)), Refuse)
    assert refusal.reason.value == "queue_full"
    predicted_s = (3 + 1) * 10.0 / 2  # behind three others, two slots
    assert 0.8 * predicted_s <= refusal.retry_after_s <= 1.2 * predicted_s


def test_no_retry_after_exceeds_a_minute() -> None:
    story = warm(chat(queue=QueueSpec(length_max=0)))
    story.at(0.0, arrival(0))
    story.at(500.0, Finished(0))
    story.at(500.0, arrival(1))
    told = [refusal.retry_after_s for refusal in only(story.at(501.0, *map(arrival, range(2, 500))), Refuse)]
    assert max(told) <= 60.0
    assert max(told) - min(told) > 15.0, "refused callers would all come back at once"


def test_a_line_of_length_zero_still_uses_free_slots() -> None:
    story = warm(chat(queue=QueueSpec(length_max=0)))
    assert routes(story.at(1.0, arrival(1))) == [(1, 1)]
    assert refusals(story.at(1.0, arrival(2))) == [(2, "queue_full")]


def test_each_class_has_its_own_bound() -> None:
    story = warm(chat(queue=QueueSpec(length_max=1)))
    story.at(1.0, arrival(1), arrival(2, batch=True))
    assert refusals(story.at(1.0, arrival(3, batch=True))) == [(3, "queue_full")]
    assert refusals(story.at(1.0, arrival(4))) == []
    assert refusals(story.at(1.0, arrival(5))) == [(5, "queue_full")]


def test_batch_waits_for_interactive() -> None:
    story = warm(chat())
    story.at(0.0, arrival(1), arrival(2, batch=True), arrival(3), arrival(4))
    assert [routes(story.at(1.0, Finished(ticket))) for ticket in (1, 3, 4)] == [[(3, 1)], [(4, 1)], [(2, 1)]]


def test_batch_goes_at_once_when_nobody_waits() -> None:
    story = warm(chat(slots=2))
    assert routes(story.at(0.0, arrival(1), arrival(2, batch=True))) == [(1, 1), (2, 1)]
    story.at(0.0, arrival(3, batch=True))
    assert routes(story.at(1.0, Finished(1))) == [(3, 1)]


def test_o06_aged_batch_gets_its_share_of_dispatches() -> None:
    queue = QueueSpec(ageing_s=10.0, batch_share_ratio=0.25, wait_s_max=1000.0)
    story = warm(chat(queue=queue))
    story.at(0.0, arrival(0), arrival(100, batch=True), arrival(101, batch=True))
    story.at(9.0, *(arrival(ticket) for ticket in range(1, 9)))

    assert routes(story.at(9.5, Finished(0))) == [(1, 1)], "batch is not aged yet"
    served = []
    on_replica = 1
    for second in range(10, 18):
        ((on_replica, _),) = routes(story.at(float(second), Finished(on_replica)))
        served.append(on_replica)
    assert served == [2, 3, 4, 100, 5, 6, 7, 101]


def test_o13_a_request_that_waited_longest_is_refused_on_time() -> None:
    story = warm(chat(queue=QueueSpec(wait_s_max=30.0)))
    story.at(1.0, arrival(1), arrival(2))
    assert refusals(story.until(30.9)) == []
    assert refusals(story.until(31.0)) == [(2, "queue_timeout")]


def test_c11_a_deadline_that_passes_while_waiting_drops_the_request_unserved() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1), arrival(2, deadline=5.0), arrival(3, deadline=4.0))
    assert refusals(story.until(4.0)) == [(3, "deadline_exceeded")]
    assert refusals(story.until(5.0)) == [(2, "deadline_exceeded")]
    assert story.at(6.0, Finished(1)) == []


def test_a_request_that_arrives_too_late_is_refused_at_once() -> None:
    story = warm(chat())
    assert refusals(story.at(5.0, arrival(1, deadline=5.0))) == [(1, "deadline_exceeded")]


def test_c04_a_client_that_leaves_the_line_never_reaches_a_replica() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    assert story.at(2.0, Abandoned(2)) == []
    assert routes(story.at(3.0, Finished(1))) == [(3, 1)]


def test_c03_a_client_that_leaves_in_flight_frees_its_slot() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1), arrival(2))
    assert routes(story.at(2.0, Abandoned(1))) == [(2, 1)]


def test_a_client_that_leaves_while_the_model_loads_is_forgotten() -> None:
    story = Story(chat())
    story.at(0.0, arrival(1))
    story.at(1.0, Abandoned(1))
    assert routes(story.ready(2.0, 1)) == []
    assert story.ledger.ended == {1: "abandoned"}


def test_late_and_repeated_words_about_a_request_change_nothing() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1), Finished(1))
    lost = Failed(1, FailureKind.LOST)
    assert story.at(2.0, Finished(1), lost, Abandoned(1), Finished(99)) == []


def test_o14_a_herd_on_a_cold_model_starts_one_replica_and_is_served_in_order() -> None:
    story = Story(chat(replicas=0, cold_start=ColdStart(load_s=8.0)))
    assert starts(story.until(0.0)) == []

    effects = story.at(1.0, *(arrival(ticket) for ticket in range(1, 51)))
    assert starts(effects) == [1]
    assert starts(story.until(8.9)) == []

    assert story.ready(9.0, 1) == [Dispatch(1, 1, cold_start_s=8.0)]
    served = [1]
    while len(served) < 50:
        ((ticket, _),) = routes(story.at(9.0 + len(served) / 10, Finished(served[-1])))
        served.append(ticket)
    assert served == list(range(1, 51))


def test_o14_those_who_wait_for_a_cold_model_are_refused_at_their_own_deadline() -> None:
    story = Story(chat(replicas=0, queue=QueueSpec(cold_wait_s_max=100.0), cold_start=ColdStart(load_s=40.0)))
    story.at(0.0, arrival(1), arrival(2, deadline=10.0), arrival(3))
    assert refusals(story.until(99.0)) == [(2, "deadline_exceeded")]
    effects = story.until(100.0)
    assert refusals(effects) == [(1, "model_loading"), (3, "model_loading")]
    assert all(1.0 <= refusal.retry_after_s <= 1.2 for refusal in only(effects, Refuse)), (
        "it should be ready any moment"
    )


def test_a_request_for_a_cold_model_waits_longer_than_one_for_a_busy_model() -> None:
    story = Story(chat(queue=QueueSpec(wait_s_max=5.0, cold_wait_s_max=50.0)))
    story.at(0.0, arrival(1))
    story.ready(10.0, 1)
    story.at(10.0, arrival(2))
    assert refusals(story.until(15.0)) == [(2, "queue_timeout")]


def test_a_line_without_room_starts_the_cold_model_nevertheless() -> None:
    story = Story(chat(replicas=0, queue=QueueSpec(length_max=0)))
    effects = story.at(0.0, arrival(1))
    assert refusals(effects) == [(1, "queue_full")]
    assert starts(effects) == [1]
    story.ready(5.0, 1)
    assert routes(story.at(6.0, arrival(2))) == [(2, 1)]


def test_a_cold_start_is_told_only_to_those_who_waited_for_it() -> None:
    story = Story(chat(slots=2))
    story.at(0.0, arrival(1))
    story.at(3.0, arrival(2))
    assert only(story.ready(4.0, 1), Dispatch) == [Dispatch(1, 1, 4.0), Dispatch(2, 1, 1.0)]
    story.at(5.0, Finished(1))
    assert only(story.at(6.0, arrival(3)), Dispatch) == [Dispatch(3, 1, 0.0)]


def test_l10_the_remaining_cold_start_is_what_a_refused_caller_is_told() -> None:
    cold = ColdStart(spawn_s=1.0, load_s=18.0, warm_up_s=1.0)
    story = Story(chat(replicas=0, queue=QueueSpec(length_max=1), cold_start=cold))
    story.at(0.0, arrival(1))
    (refusal,) = only(story.at(12.0, arrival(2)), Refuse)
    assert 0.8 * 8.0 <= refusal.retry_after_s <= 1.2 * 8.0


def test_measured_cold_start_replaces_the_guess() -> None:
    story = Story(chat(replicas=0, queue=QueueSpec(length_max=0)))
    (guessed,) = only(story.at(0.0, arrival(1)), Refuse)
    assert 4.0 <= guessed.retry_after_s <= 6.0
    story.at(30.0, ReplicaReady(1))
    assert story.fleet.pools["chat"].forecast.cold_start == ColdStart(load_s=30.0)


def test_a_deadline_at_infinity_is_bounded_by_the_queue() -> None:
    story = warm(chat(queue=QueueSpec(wait_s_max=7.0)))
    story.at(0.0, arrival(1), arrival(2, deadline=inf))
    assert refusals(story.until(7.0)) == [(2, "queue_timeout")]


def test_c11_a_late_timer_starts_nobody_whose_deadline_is_over() -> None:
    story = warm(chat())
    story.at(0.0, arrival(1), arrival(2, deadline=5.0), arrival(3, deadline=9.0))
    story.now = 6.0  # the event loop was held up: the wake of 5.0 has not come yet
    effects = story.happen(Finished(1))
    assert refusals(effects) == [(2, "deadline_exceeded")]
    assert routes(effects) == [(3, 1)]


def test_l12_after_a_suspension_of_hours_only_those_are_refused_whose_time_is_over() -> None:
    story = warm(chat(queue=QueueSpec(wait_s_max=30.0)))
    story.at(0.0, arrival(1), arrival(2), arrival(3))
    story.now = 8 * 3600.0
    assert refusals(story.until(story.now)) == [(2, "queue_timeout"), (3, "queue_timeout")]
    assert story.happen(Finished(1)) == []
    assert routes(story.happen(arrival(4))) == [(4, 1)]
