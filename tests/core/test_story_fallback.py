"""Stories of fallback and spill-over: who answers instead, when, and what that may cost."""

import pytest

from tests.core.story import Story, arrival, moves, only, refusals, routes, starts, warm
from toque.core.fallback import WaysOut
from toque.model.condition import FailureCause
from toque.model.fallback_spec import FallbackSpec, PriceSpec, SpendingSpec
from toque.model.messages import (
    Abandoned,
    Dispatch,
    Divert,
    DrainOrdered,
    Effect,
    Failed,
    Finished,
    Refuse,
    ReplicaFailed,
    ReplicaReady,
    StartReplica,
    Woke,
)
from toque.model.spec import ColdStart, PoolSpec, QueueSpec, ReplicaBounds, RestartSpec, RetrySpec
from toque.model.ticket import FailureKind, FallbackCause

NO_RETRY = RetrySpec(attempts_max=0)
BACKUP = ("backup",)


def pool(
    name: str = "chat",
    *,
    slots: int = 1,
    minimum: int = 1,
    fallback: FallbackSpec | None = None,
    queue: QueueSpec | None = None,
    cold_start_s: float = 0.0,
    price: PriceSpec | None = None,
    restart: RestartSpec | None = None,
) -> PoolSpec:
    return PoolSpec(
        name,
        slots=slots,
        queue=queue or QueueSpec(),
        replicas=ReplicaBounds(minimum_warm=minimum, maximum=1),
        retry=NO_RETRY,
        restart=restart or RestartSpec(),
        fallback=fallback or FallbackSpec(BACKUP),
        price=price or PriceSpec(),
        cold_start=ColdStart(load_s=cold_start_s),
    )


def impatient(patience_s: float, batch_patience_s: float = 0.0) -> FallbackSpec:
    return FallbackSpec(BACKUP, patience_s, batch_patience_s)


def notes(effects: list[Effect]) -> list[str]:
    """Why no fallback took those that were refused."""
    return [refusal.fallback for refusal in only(effects, Refuse)]


def death(replica_id: int, cause: FailureCause = FailureCause.EXITED) -> ReplicaFailed:
    return ReplicaFailed(replica_id, cause, "it exited with status 1")


# ---- on failure ------------------------------------------------------------------------------------------------------


def test_u12_a_request_that_failed_here_is_answered_by_the_fallback() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, arrival(1, fallbacks=BACKUP))
    assert story.at(2.0, Failed(1, FailureKind.ERROR)) == [
        Divert(1, "backup", FallbackCause.FAILURE, "upstream_lost"),
        Dispatch(1, 2),
    ]
    assert story.at(3.0, Finished(1)) == []
    assert story.ledger.ended == {1: "finished"}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_falls_back_before_the_first_byte_and_none_after(kind: FailureKind) -> None:
    story = warm(pool(slots=2), pool("backup"))
    story.at(1.0, arrival(1, fallbacks=BACKUP), arrival(2, fallbacks=BACKUP))
    assert moves(story.at(2.0, Failed(1, kind, began=True))) == []
    story.ready(2.5)
    assert moves(story.at(3.0, Failed(2, kind))) == [(2, "backup", "failure")]


def test_a_failure_without_a_fallback_is_told_as_ever() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, arrival(1))
    effects = story.at(2.0, Failed(1, FailureKind.ERROR))
    assert (refusals(effects), notes(effects)) == ([(1, "upstream_lost")], [""])


def test_the_list_is_tried_in_order_and_once() -> None:
    story = warm(pool(), pool("small"), pool("backup"))
    story.at(1.0, arrival(1, fallbacks=("small", "backup")))
    assert moves(story.at(2.0, Failed(1, FailureKind.ERROR))) == [(1, "small", "failure")]
    assert moves(story.at(3.0, Failed(1, FailureKind.ERROR))) == [(1, "backup", "failure")]
    assert refusals(story.at(4.0, Failed(1, FailureKind.ERROR))) == [(1, "upstream_lost")]


def test_the_fallbacks_of_a_fallback_are_not_followed() -> None:
    story = warm(pool(), pool("backup", fallback=FallbackSpec(("chat",))))
    story.at(1.0, arrival(1, fallbacks=BACKUP))
    story.at(2.0, Failed(1, FailureKind.ERROR))
    assert refusals(story.at(3.0, Failed(1, FailureKind.ERROR))) == [(1, "upstream_lost")]


def test_too_late_is_too_late_everywhere() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, arrival(1, deadline=5.0, fallbacks=BACKUP))
    assert refusals(story.at(5.0, Failed(1, FailureKind.ERROR))) == [(1, "upstream_lost")]
    assert refusals(story.at(6.0, arrival(2, deadline=6.0, fallbacks=BACKUP))) == [(2, "deadline_exceeded")]


def test_r14_with_no_replica_left_newcomers_and_those_who_wait_go_to_the_fallback_at_once() -> None:
    story = warm(pool(), pool("backup", slots=4))
    story.at(1.0, arrival(1, fallbacks=BACKUP), arrival(2, fallbacks=BACKUP), arrival(3))
    effects = story.at(2.0, death(1))
    assert moves(effects) == [(2, "backup", "failure")]
    assert only(effects, Divert)[0].reason == "nothing answers: it exited with status 1"
    assert moves(story.at(2.1, arrival(4, fallbacks=BACKUP))) == [(4, "backup", "failure")]
    assert [j.ticket.id for j in story.fleet.pools["chat"].line.waiting()] == [3], "it has nowhere to go"


def test_a_crash_loop_falls_back_instead_of_refusing() -> None:
    story = warm(pool(restart=RestartSpec(crash_loop_failures=2)), pool("backup"))
    story.at(1.0, death(1))
    (again,) = starts(story.until(2.0))
    story.at(2.5, death(again))
    assert moves(story.at(3.0, arrival(1, fallbacks=BACKUP))) == [(1, "backup", "failure")]


def test_a_fallback_that_is_down_itself_is_no_fallback() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, arrival(1, fallbacks=BACKUP), death(2))
    effects = story.at(1.1, Failed(1, FailureKind.ERROR))
    assert (refusals(effects), notes(effects)) == ([(1, "upstream_lost")], ["backup takes nothing now"])


def test_a_cold_fallback_is_started_for_what_failed() -> None:
    story = warm(pool(), pool("backup", minimum=0))
    story.at(1.0, arrival(1, fallbacks=BACKUP))
    effects = story.at(2.0, Failed(1, FailureKind.ERROR))
    assert moves(effects) == [(1, "backup", "failure")]
    assert only(effects, StartReplica) == [StartReplica("backup", 2)]
    assert routes(story.at(3.0, ReplicaReady(2))) == [(1, 2)]


def test_a_fallback_that_is_not_there_any_more_is_passed_over() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, arrival(1, fallbacks=("gone", "backup")), arrival(2, fallbacks=("gone",)))
    assert moves(story.at(2.0, Failed(1, FailureKind.ERROR))) == [(1, "backup", "failure")]
    assert notes(story.at(2.0, Failed(2, FailureKind.ERROR))) == ["gone is not here any more"]


def test_a_service_that_ends_takes_nobody_in_elsewhere_either() -> None:
    story = warm(pool(), pool("backup"))
    story.at(1.0, DrainOrdered())
    assert refusals(story.at(2.0, arrival(1, fallbacks=BACKUP))) == [(1, "draining")]


# ---- for want of room ------------------------------------------------------------------------------------------------


def test_a_full_line_spills_over() -> None:
    story = warm(pool(queue=QueueSpec(length_max=0)), pool("backup"))
    story.at(1.0, arrival(1))
    assert moves(story.at(2.0, arrival(2, fallbacks=BACKUP))) == [(2, "backup", "overload")]


def test_who_waited_in_vain_spills_over() -> None:
    story = warm(pool(queue=QueueSpec(wait_s_max=10.0)), pool("backup"))
    story.at(1.0, arrival(1), arrival(2, fallbacks=BACKUP))
    assert moves(story.until(11.0)) == [(2, "backup", "overload")]


def test_with_every_line_full_it_is_refused_as_the_first_pool_refuses() -> None:
    full = QueueSpec(length_max=0)
    story = warm(pool(queue=full), pool("backup", queue=full))
    story.at(1.0, arrival(1), arrival(2, "backup"))
    effects = story.at(2.0, arrival(3, fallbacks=BACKUP))
    assert (refusals(effects), notes(effects)) == ([(3, "queue_full")], ["backup takes nothing now"])


# ---- for want of patience --------------------------------------------------------------------------------------------


def test_a_wait_that_is_predicted_to_be_too_long_is_not_begun() -> None:
    story = warm(pool(fallback=impatient(3.0)), pool("backup"))
    story.at(0.0, arrival(1))
    story.at(4.0, Finished(1))  # four seconds a request, from now on
    story.at(5.0, arrival(2))
    effects = story.at(5.0, arrival(3, fallbacks=BACKUP))
    assert moves(effects) == [(3, "backup", "patience")]
    assert only(effects, Divert)[0].reason == "waited 0.0 s, predicted 4.0 s more, patience of interactive 3 s"
    assert story.fleet.pools["chat"].scaler.demand == 1, "only the one in flight is demand here"


def test_who_waited_longer_than_predicted_goes_when_patience_is_over() -> None:
    story = warm(pool(fallback=impatient(5.0)), pool("backup"))
    story.at(0.0, arrival(1), arrival(2, fallbacks=BACKUP))  # two seconds are guessed
    assert moves(story.until(4.9)) == []
    assert moves(story.until(5.0)) == [(2, "backup", "patience")]


def test_a_cold_start_that_takes_too_long_is_not_waited_for_but_goes_on() -> None:
    story = Story(pool(minimum=0, cold_start_s=20.0, fallback=impatient(3.0)), pool("backup"))
    story.ready(0.0, *starts(story.until(0.0)))
    effects = story.at(1.0, arrival(1, fallbacks=BACKUP))
    assert moves(effects) == [(1, "backup", "patience")]
    assert only(effects, StartReplica) == [StartReplica("chat", 2)], "the next one finds it warm"


def test_a_cold_start_that_turns_out_longer_is_left_when_patience_is_over() -> None:
    story = Story(pool(minimum=0, cold_start_s=2.0, fallback=impatient(3.0)), pool("backup"))
    story.ready(0.0, *starts(story.until(0.0)))
    assert moves(story.at(1.0, arrival(1, fallbacks=BACKUP))) == []
    assert moves(story.until(4.0)) == [(1, "backup", "patience")]


def test_impatience_moves_nobody_to_where_it_is_no_sooner() -> None:
    story = warm(pool(fallback=impatient(1.0)), pool("backup"))
    story.at(0.0, arrival(1), arrival(2, "backup"))
    assert story.at(1.0, arrival(3, fallbacks=BACKUP)) == [], "it would wait there too, so it keeps its place"
    assert routes(story.at(2.0, Finished(1))) == [(3, 1)]


def test_who_asked_in_vain_asks_again() -> None:
    story = warm(pool(fallback=impatient(1.5)), pool("backup"))
    story.at(0.0, arrival(1), arrival(2, "backup"), arrival(3, fallbacks=BACKUP))
    story.at(1.0, Finished(2))
    assert moves(story.until(1.4)) == []
    assert moves(story.until(1.5)) == [(3, "backup", "patience")]


def test_who_asked_in_vain_keeps_its_place_and_its_last_minute() -> None:
    story = warm(
        pool(fallback=impatient(0.5), queue=QueueSpec(wait_s_max=4.5)), pool("backup", queue=QueueSpec(length_max=0))
    )
    story.at(0.0, arrival(1), arrival(2, "backup"), arrival(3), arrival(4, fallbacks=BACKUP))
    assert refusals(story.until(4.5)) == [(3, "queue_timeout"), (4, "queue_timeout")]


def test_classes_have_a_patience_of_their_own() -> None:
    story = warm(pool(fallback=impatient(1.0, batch_patience_s=60.0)), pool("backup", slots=4))
    story.at(0.0, arrival(1))
    assert moves(story.at(0.0, arrival(2, fallbacks=BACKUP, batch=True))) == []
    assert moves(story.at(0.0, arrival(3, fallbacks=BACKUP))) == [(3, "backup", "patience")]


def test_interactive_does_not_count_the_batch_that_lets_it_by() -> None:
    story = warm(pool(fallback=impatient(5.0)), pool("backup", slots=4))
    story.at(0.0, arrival(1), *(arrival(ticket, batch=True) for ticket in range(2, 20)))
    assert moves(story.at(0.0, arrival(30, fallbacks=BACKUP))) == []


def test_the_restart_of_a_dead_replica_is_waited_for_where_patience_allows() -> None:
    story = warm(pool(fallback=impatient(10.0)), pool("backup"))
    story.at(1.0, death(1))
    assert moves(story.at(1.1, arrival(1, fallbacks=BACKUP))) == []
    (again,) = starts(story.until(2.0))
    assert routes(story.at(3.0, ReplicaReady(again))) == [(1, again)]


def test_who_is_placed_in_the_same_step_stays() -> None:
    story = warm(PoolSpec("chat", slots=1, fallback=impatient(1.0)), pool("backup"))
    story.at(0.0, arrival(1, fallbacks=BACKUP))
    effects = story.at(1.0, Failed(1, FailureKind.ERROR))
    assert effects == [Dispatch(1, 1)], "its retry found the slot it left"


def test_one_that_got_its_slot_in_the_step_of_its_appeal_stays() -> None:
    story = warm(pool(fallback=impatient(3.0)), pool("backup"))
    asking = arrival(1, fallbacks=BACKUP)
    story.at(0.0, asking)
    story.fleet._appeals.plead(asking.ticket, FallbackCause.PATIENCE, "late", 3.0)
    assert story.happen(Woke()) == []


def test_one_that_left_meanwhile_is_moved_nowhere() -> None:
    story = warm(pool(fallback=impatient(3.0)), pool("backup"))
    story.at(0.0, arrival(1), arrival(2, fallbacks=BACKUP))
    story.at(1.0, Abandoned(2))
    assert moves(story.until(10.0)) == []


# ---- at what price ---------------------------------------------------------------------------------------------------

PAID = PriceSpec(input=1000.0, output=1000.0)  # a thousand tokens cost one


def spending(limit: float, slots: int = 8) -> Story:
    story = Story(pool(queue=QueueSpec(length_max=0)), pool("backup", slots=slots, price=PAID), spending=limit)
    story.ready(0.0, *starts(story.until(0.0)))
    story.at(0.0, arrival(1))
    return story


def test_what_fallbacks_cost_is_counted_from_their_tokens() -> None:
    story = spending(10.0)
    story.at(1.0, arrival(2, fallbacks=BACKUP))
    assert story.fleet.spending.reserved[2][1] == 3.0, "2000 and 1000 tokens are guessed"
    story.at(2.0, Finished(2, prompt_tokens=500, output_tokens=100))
    assert story.fleet.spending.spent(2.0) == pytest.approx(0.6)
    assert not story.fleet.spending.reserved


def test_requests_that_name_the_paid_model_themselves_are_not_counted() -> None:
    story = spending(10.0)
    story.at(1.0, arrival(2, "backup"), arrival(3, fallbacks=BACKUP))
    story.at(2.0, Finished(2, prompt_tokens=500, output_tokens=100))
    assert story.fleet.spending.spent(2.0) == 0.0
    assert list(story.fleet.spending.reserved) == [3]


def test_at_the_limit_it_is_refused_as_without_a_fallback_and_told_why() -> None:
    story = spending(1.0)
    story.at(1.0, arrival(2, fallbacks=BACKUP))
    story.at(2.0, Finished(2, prompt_tokens=1000))
    effects = story.at(3.0, arrival(3, fallbacks=BACKUP))
    assert refusals(effects) == [(3, "queue_full")]
    assert notes(effects) == ["backup would exceed the spending limit of 1 an hour"]


def test_the_hour_slides() -> None:
    story = spending(1.0)
    story.at(1.0, arrival(2, fallbacks=BACKUP))
    story.at(2.0, Finished(2, prompt_tokens=1000))
    assert refusals(story.at(3600.0, arrival(3, fallbacks=BACKUP))) == [(3, "queue_full")]
    assert moves(story.at(3660.0, arrival(4, fallbacks=BACKUP))) == [(4, "backup", "overload")]


def test_those_under_way_are_counted_by_estimate_before_their_tokens_are_known() -> None:
    story = spending(7.0)
    assert len(moves(story.at(1.0, *(arrival(n, fallbacks=BACKUP) for n in range(2, 6))))) == 2, "three each"
    story.at(2.0, Finished(2, prompt_tokens=1000), Finished(3, prompt_tokens=1000))
    assert len(moves(story.at(3.0, *(arrival(n, fallbacks=BACKUP) for n in range(6, 16))))) == 5, (
        "one each, as measured"
    )


def test_with_a_limit_below_the_estimate_one_at_a_time_may_go() -> None:
    story = spending(0.5)
    assert len(moves(story.at(1.0, arrival(2, fallbacks=BACKUP), arrival(3, fallbacks=BACKUP)))) == 1


def test_without_a_limit_nothing_is_spent_and_what_costs_nothing_is_free() -> None:
    story = spending(0.0)
    assert refusals(story.at(1.0, arrival(2, fallbacks=BACKUP))) == [(2, "queue_full")]


def test_the_limit_may_be_revised_and_what_was_spent_stays_spent() -> None:
    story = spending(1.0)
    story.at(1.0, arrival(2, fallbacks=BACKUP))
    story.at(2.0, Finished(2, prompt_tokens=1000))
    story.fleet.spending.revise(SpendingSpec(2.0))
    assert (story.fleet.spending.spent(3.0), story.fleet.spending.limit) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("end", "cost"),
    [
        (Finished(2), 3.0),
        (Abandoned(2), 3.0),
        (Failed(2, FailureKind.LOST, began=True), 3.0),
        (Failed(2, FailureKind.TIMEOUT), 3.0),
        (Failed(2, FailureKind.NOT_SENT), 0.0),
        (Failed(2, FailureKind.DENIED), 0.0),
    ],
)
def test_where_the_tokens_are_not_known_the_estimate_is_charged_if_a_bill_may_come(
    end: Finished | Failed | Abandoned, cost: float
) -> None:
    story = spending(10.0)
    story.at(1.0, arrival(2, fallbacks=BACKUP))
    story.at(2.0, end)
    assert story.fleet.spending.spent(2.0) == cost
    assert not story.fleet.spending.reserved


def test_who_only_waited_for_a_paid_slot_costs_nothing() -> None:
    story = spending(10.0, slots=1)
    story.at(1.0, arrival(2, fallbacks=BACKUP), arrival(3, fallbacks=BACKUP))
    story.at(2.0, Failed(3, FailureKind.LOST))  # a word about a call it never had
    story.at(2.0, Abandoned(3))
    assert story.fleet.spending.spent(2.0) == 0.0
    assert list(story.fleet.spending.reserved) == [2]


def test_whom_the_paid_pool_refuses_in_the_end_costs_nothing() -> None:
    story = Story(
        pool(queue=QueueSpec(length_max=0)),
        pool("backup", price=PAID, queue=QueueSpec(wait_s_max=5.0)),
        spending=10.0,
    )
    story.ready(0.0, *starts(story.until(0.0)))
    story.at(0.0, arrival(1), arrival(2, "backup"), arrival(3, fallbacks=BACKUP))
    assert refusals(story.until(5.0)) == [(3, "queue_timeout")]
    assert not story.fleet.spending.reserved


# ---- who may go where ------------------------------------------------------------------------------------------------

HOSTED = PoolSpec("gpt", hosted=True)
SMALL = PoolSpec("small")
BOTH = FallbackSpec(("gpt", "small"))


def test_a_request_that_may_leave_goes_anywhere_on_the_list() -> None:
    ways = WaysOut([PoolSpec("chat", fallback=BOTH), HOSTED, SMALL])
    assert ways.of("chat", may_leave=True) == ("gpt", "small")
    assert ways.models == {"chat"}


def test_u12_a_request_that_may_not_leave_never_goes_to_a_hosted_model() -> None:
    ways = WaysOut([PoolSpec("chat", fallback=BOTH), HOSTED, SMALL])
    assert ways.of("chat", may_leave=False) == ("small",)


def test_u12_a_local_only_model_never_falls_back_to_a_hosted_one_whoever_asks() -> None:
    ways = WaysOut([PoolSpec("chat", fallback=BOTH, local_only=True), HOSTED, SMALL])
    assert ways.of("chat", may_leave=True) == ("small",)


def test_what_is_not_there_is_no_way_out() -> None:
    ways = WaysOut([PoolSpec("chat", fallback=FallbackSpec(("gone",)))])
    assert ways.of("chat", may_leave=True) == ()
    assert WaysOut().of("anything", may_leave=True) == ()
