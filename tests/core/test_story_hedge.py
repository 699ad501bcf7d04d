"""Stories of hedging: a short request that takes long is sent to a second replica, and the first answer counts."""

from dataclasses import replace

from tests.core.story import Story, only, refusals, routes, warm
from toque.core.snapshot import view_fleet
from toque.model.condition import BreakerState, FailureCause
from toque.model.messages import Abandoned, Arrived, Effect, Failed, Finished, Hedge, RecordBreaker, ReplicaFailed
from toque.model.spec import PoolSpec, ReplicaBounds, RetrySpec
from toque.model.ticket import FailureKind, Ticket
from toque.model.trust_spec import BreakerSpec, HedgeSpec


def chat(
    slots: int = 2, replicas: int = 2, after_s: float = 1.0, *, enabled: bool = True, budget: int = 10
) -> PoolSpec:
    return PoolSpec(
        "chat",
        slots=slots,
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=replicas),
        retry=RetrySpec(budget_min=budget),
        hedge=HedgeSpec(enabled=enabled, after_s=after_s),
    )


def short(ticket_id: int, tokens: int = 100, deadline: float = 1e9) -> Arrived:
    return Arrived(Ticket(ticket_id, "chat", deadline, whole_tokens_max=tokens))


def answered(ticket_id: int, replica_id: int = 0) -> Finished:
    return Finished(ticket_id, 0.1, 5, 10, replica_id)


def failed(ticket_id: int, replica_id: int = 0, kind: FailureKind = FailureKind.LOST) -> Failed:
    return Failed(ticket_id, kind, replica_id=replica_id)


def hedges(effects: list[Effect]) -> list[tuple[int, int]]:
    return [(hedge.ticket_id, hedge.replica_id) for hedge in only(effects, Hedge)]


def in_flight(story: Story) -> list[int]:
    return [replica.in_flight for replica in view_fleet(story.fleet, story.now).pools[0].replicas]


def hedged() -> Story:
    """A request that is on replica 1 and, since the instant 2, on replica 2 as well."""
    story = warm(chat())
    story.at(1.0, short(1))
    assert hedges(story.until(1.99)) == []
    assert hedges(story.until(2.0)) == [(1, 2)]
    assert in_flight(story) == [1, 1]
    return story


def test_the_first_answer_of_the_second_replica_counts_and_both_slots_are_free() -> None:
    story = hedged()
    story.at(2.5, answered(1, 2))
    assert story.ledger.ended == {1: "finished"}
    assert in_flight(story) == [0, 0]
    assert view_fleet(story.fleet, 2.5).pools[0].hedged == 1
    story.check_replay()


def test_the_first_answer_of_the_first_replica_counts_too() -> None:
    story = hedged()
    story.at(2.5, answered(1, 1))
    assert in_flight(story) == [0, 0]


def test_a_long_answer_says_nothing_of_how_long_short_ones_take() -> None:
    story = warm(chat(after_s=0.0))
    for number in range(1, 31):
        story.at(float(number), short(number, tokens=100_000))
        story.at(number + 0.5, answered(number))
    story.at(40.0, short(31))
    assert hedges(story.until(60.0)) == []


def test_a_client_that_leaves_frees_both_slots() -> None:
    story = hedged()
    story.at(2.5, Abandoned(1))
    assert in_flight(story) == [0, 0]


def test_whichever_fails_the_other_goes_on() -> None:
    for loser, rest in ((1, [0, 1]), (2, [1, 0])):
        story = hedged()
        story.at(2.5, failed(1, loser, FailureKind.ERROR))
        assert in_flight(story) == rest
        story.at(3.0, answered(1))
        assert story.ledger.ended == {1: "finished"}
        assert in_flight(story) == [0, 0]


def test_a_request_that_both_fail_ends_and_has_had_its_retry() -> None:
    story = hedged()
    assert refusals(story.at(2.5, failed(1, 2), failed(1))) == [(1, "upstream_lost")]
    assert refusals(hedged().at(2.5, failed(1))) == [(1, "upstream_lost")], (
        "both at once, by the relay's own time limit"
    )


def test_a_second_replica_may_die_with_its_request() -> None:
    story = hedged()
    story.at(2.5, ReplicaFailed(2, FailureCause.EXITED, "it died"), failed(1, 2))
    assert in_flight(story) == [1]
    story.at(3.0, answered(1))
    assert story.ledger.ended == {1: "finished"}


def test_an_answer_in_time_needs_no_second_replica() -> None:
    story = warm(chat())
    story.at(1.0, short(1))
    story.at(1.5, answered(1))
    assert hedges(story.until(10.0)) == []


def test_only_short_answers_that_are_wanted_whole_are_hedged_and_only_where_that_is_on() -> None:
    story = warm(chat())
    story.at(1.0, short(1, tokens=0), short(2, tokens=257))
    assert hedges(story.until(10.0)) == []
    story = warm(chat(enabled=False))
    story.at(1.0, short(1))
    assert hedges(story.until(10.0)) == []


def test_a_slot_that_somebody_waits_for_is_not_taken_twice() -> None:
    story = warm(chat(slots=1))
    story.at(1.0, short(1), short(2), short(3))
    assert hedges(story.until(10.0)) == []


def test_without_another_sound_replica_nothing_is_hedged() -> None:
    story = warm(chat(replicas=1))
    story.at(1.0, short(1))
    assert hedges(story.until(10.0)) == []
    story = warm(replace(chat(), breaker=BreakerSpec(failures_in_a_row=1), retry=RetrySpec(attempts_max=0)))
    story.at(0.0, short(1), short(2))
    story.at(0.5, failed(2, kind=FailureKind.ERROR))
    story.at(10.0, answered(1))
    story.at(10.2, short(3))
    assert [turn.state for turn in only(story.until(10.5), RecordBreaker)] == [BreakerState.HALF_OPEN]
    assert hedges(story.until(20.0)) == [], "a second attempt is no probe"


def test_second_attempts_are_paid_for_like_retries() -> None:
    story = warm(chat(slots=20, budget=1))
    story.at(1.0, *map(short, range(1, 6)))
    assert len(hedges(story.until(10.0))) == 1, "five in flight allow one"


def test_without_a_time_of_ones_own_the_slowest_of_twenty_is_hedged() -> None:
    story = warm(chat(after_s=0.0))
    for ticket in range(1, 151):
        story.at(ticket * 10.0, short(ticket))
        effects = story.at(ticket * 10.0 + 0.5 + 0.001 * (ticket % 100), answered(ticket))
        assert hedges(effects) == []
    story.at(2000.0, short(200))
    assert hedges(story.until(2000.58)) == []
    assert hedges(story.until(2000.6)) == [(200, 2)]


def test_a_request_that_came_back_to_the_line_is_looked_at_anew() -> None:
    story = warm(chat())
    story.at(1.0, short(1))
    assert routes(story.at(1.5, failed(1, kind=FailureKind.NOT_SENT))) == [(1, 2)]
    assert hedges(story.until(2.4)) == [], "the first time is forgotten"
