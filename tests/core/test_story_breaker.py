"""Stories of trust: breakers open, rest and close again; busy replicas are left alone; slow ones are ejected."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.story import Story, arrival, only, refusals, routes, starts, warm
from toque.core.breaker import RESTING, TABLE, Breaker, Turn
from toque.core.snapshot import view_fleet
from toque.model.condition import BreakerState, FailureCause
from toque.model.messages import (
    Abandoned,
    Effect,
    Failed,
    Finished,
    ProbeReplica,
    RecordBreaker,
    Refuse,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaStopped,
    ReplicaUnreachable,
    StopReplica,
)
from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds, RetrySpec
from toque.model.ticket import FailureKind
from toque.model.trust_spec import BreakerSpec, EjectionSpec

CLOSED, PAUSED, OPEN = BreakerState.CLOSED, BreakerState.PAUSED, BreakerState.OPEN
EJECTED, HALF_OPEN = BreakerState.EJECTED, BreakerState.HALF_OPEN


def chat(
    replicas: int = 1,
    slots: int = 10,
    attempts_max: int = 0,
    breaker: BreakerSpec | None = None,
    ejection: EjectionSpec | None = None,
    queue: QueueSpec | None = None,
) -> PoolSpec:
    """A pool that tries nothing again, so that each failure stands alone."""
    return PoolSpec(
        "chat",
        slots=slots,
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=replicas),
        retry=RetrySpec(attempts_max=attempts_max),
        breaker=breaker or BreakerSpec(),
        ejection=ejection or EjectionSpec(),
        queue=queue or QueueSpec(),
    )


def error(ticket_id: int) -> Failed:
    return Failed(ticket_id, FailureKind.ERROR)


def busy(ticket_id: int, retry_after_s: float = 0.0) -> Failed:
    return Failed(ticket_id, FailureKind.BUSY, retry_after_s=retry_after_s)


def answered(ticket_id: int, tokens: int = 16) -> Finished:
    return Finished(ticket_id, ttft_s=0.1, output_tokens=tokens)


def turns(effects: list[Effect]) -> list[tuple[int, BreakerState]]:
    """(replica, state) of every turn of a breaker."""
    return [(turn.replica_id, turn.state) for turn in only(effects, RecordBreaker)]


def states(story: Story) -> list[BreakerState]:
    return [replica.breaker for replica in view_fleet(story.fleet, story.now).pools[0].replicas]


def opened(now: float = 1.0, replicas: int = 1) -> Story:
    """A story whose replicas have just failed five times each."""
    story = warm(chat(replicas))
    for ticket in range(1, 5 * replicas + 1):
        story.at(now, arrival(ticket))
    effects = story.at(now, *map(error, range(1, 5 * replicas + 1)))
    assert turns(effects) == [(replica, OPEN) for replica in range(1, replicas + 1)]
    return story


# ---- open ------------------------------------------------------------------------------------------------------------


def test_u04_five_failures_in_a_row_open_the_breaker_and_the_next_call_goes_elsewhere() -> None:
    story = warm(chat(replicas=2))
    failing = 0
    for ticket in range(1, 20):
        ((_, replica),) = routes(story.at(float(ticket), arrival(ticket)))
        effects = story.at(ticket + 0.5, error(ticket) if replica == 1 else answered(ticket))
        failing += replica == 1
        if turns(effects):
            break
    assert failing == 5
    assert only(effects, RecordBreaker) == [RecordBreaker("chat", 1, OPEN, "5 failures in a row", 10.0)]
    assert routes(story.at(story.now + 1.0, *map(arrival, range(20, 24)))) == [(ticket, 2) for ticket in range(20, 24)]


def test_u04_half_of_ten_requests_within_ten_seconds_open_it_too() -> None:
    story = warm(chat())
    for ticket in range(1, 11):
        story.at(1.0, arrival(ticket))
    for ticket in range(1, 9, 2):
        assert turns(story.at(2.0, error(ticket), answered(ticket + 1))) == []
    (turn,) = only(story.at(3.0, answered(9), error(10)), RecordBreaker)
    assert (turn.state, turn.reason) == (OPEN, "5 of 10 requests failed within 10 s")


def test_quick_failures_do_not_outrun_slow_answers() -> None:
    """A third of all requests fails at once, the others take a second; the slots are filled again as they free."""
    story, ticket = warm(chat(slots=64)), 0
    for second in range(1, 13):
        sent: list[int] = []
        while len(sent) < 64:
            ticket += 1
            assert routes(story.at(float(second), arrival(ticket))) == [(ticket, 1)]
            sent.append(ticket)
            if ticket % 3 == 0:
                assert turns(story.at(float(second), error(sent.pop()))) == []
        story.at(second + 0.9, *map(answered, sent))
    assert states(story) == [CLOSED]


def test_most_requests_failing_at_once_open_it_while_slow_ones_are_under_way() -> None:
    story, found = warm(chat(slots=64)), []
    story.at(0.5, *map(arrival, range(1, 9)))
    for ticket in range(101, 200):
        story.at(1.0, arrival(ticket))
        found += only(story.at(1.0, error(ticket) if ticket % 4 else answered(ticket)), RecordBreaker)
    (turn,) = found
    assert (turn.state, turn.reason) == (OPEN, "11 of 14 requests failed within 10 s"), (
        "half of these and of the 8 others"
    )


def test_what_was_sent_after_a_failure_or_long_before_it_does_not_speak_for_a_replica() -> None:
    story = warm(chat(slots=64))
    story.at(1.0, *map(arrival, range(1, 21)))
    story.at(12.0, *map(arrival, range(21, 26)))
    story.at(13.0, *map(arrival, range(26, 46)))
    (turn,) = only(story.at(14.0, *map(error, range(21, 26))), RecordBreaker)
    assert (turn.state, turn.reason) == (OPEN, "5 failures in a row")


def test_who_outlived_failures_and_fails_too_does_not_speak_for_a_replica_any_more() -> None:
    story = warm(chat(slots=64))
    story.at(1.0, *map(arrival, range(1, 21)))
    effects = story.at(2.0, *map(error, range(1, 21)))
    assert only(effects, RecordBreaker) == [RecordBreaker("chat", 1, OPEN, "15 failures in a row", 10.0)]


def test_failures_far_apart_between_answers_open_nothing() -> None:
    story = warm(chat())
    for ticket in range(1, 41, 2):
        story.at(6.0 * ticket, arrival(ticket), arrival(ticket + 1))
        assert turns(story.at(6.0 * ticket, error(ticket), answered(ticket + 1))) == []
    assert states(story) == [CLOSED]


def test_r01_one_death_with_many_requests_is_one_failure() -> None:
    story = warm(chat(replicas=2))
    for ticket in range(1, 21):
        story.at(1.0, arrival(ticket))
    mine = [ticket for ticket, replica in story.ledger.where.items() if replica == 1]
    assert len(mine) == 10
    effects = story.at(2.0, *(Failed(ticket, FailureKind.LOST) for ticket in mine))
    assert only(effects, ProbeReplica) == [ProbeReplica(1)]
    assert turns(effects) == []
    story.at(2.5, ReplicaHealthy(1))
    assert states(story) == [CLOSED, CLOSED]


def test_a_connection_that_is_lost_again_and_again_opens_the_breaker_of_a_healthy_process() -> None:
    story = warm(chat())
    for ticket in range(1, 6):
        story.at(float(ticket), arrival(ticket))
        effects = story.at(float(ticket), Failed(ticket, FailureKind.LOST))
        assert only(effects, ProbeReplica) == [ProbeReplica(1)]
        story.at(ticket + 0.5, arrival(100 + ticket))
        if ticket < 5:
            story.at(ticket + 0.6, ReplicaHealthy(1), Finished(100 + ticket))
    assert turns(effects) == [], "an answer came in between"


def test_lost_connections_in_a_row_open_the_breaker_and_who_waited_is_refused_once_it_is_known() -> None:
    story = warm(chat())
    for ticket in range(1, 6):
        story.at(float(ticket), arrival(ticket))
        effects = story.at(float(ticket), Failed(ticket, FailureKind.LOST))
        if ticket < 5:
            story.at(ticket + 0.5, ReplicaHealthy(1))
    assert turns(effects) == [(1, OPEN)]
    assert refusals(story.at(5.1, arrival(6))) == [], "a probe of the process is under way"
    assert refusals(story.at(5.2, ReplicaHealthy(1))) == [(6, "no_healthy_replica")]


def test_u05_a_callers_own_error_never_counts() -> None:
    story = warm(chat())
    for ticket in range(1, 30):
        story.at(float(ticket), arrival(ticket))
        assert turns(story.at(float(ticket), Finished(ticket))) == []


def test_u05_an_upstream_that_does_not_accept_our_key_does_not_fail() -> None:
    story = warm(chat())
    for ticket in range(1, 30):
        story.at(float(ticket), arrival(ticket))
        assert turns(story.at(float(ticket), Failed(ticket, FailureKind.DENIED))) == []


def test_a_request_whose_own_time_was_up_blames_nobody() -> None:
    story = warm(chat())
    for ticket in range(1, 8):
        story.at(1.0, arrival(ticket, deadline=2.0))
    effects = story.at(2.0, *(Failed(ticket, FailureKind.TIMEOUT) for ticket in range(1, 8)))
    assert turns(effects) == []


# ---- rest, half-open, closed -----------------------------------------------------------------------------------------


def test_r14_while_all_breakers_are_open_everybody_is_refused_at_once_and_told_until_when() -> None:
    story = opened(replicas=3)
    (refusal,) = only(story.at(5.0, arrival(100)), Refuse)
    assert (refusal.reason.value, story.ledger.ended[100]) == ("no_healthy_replica", "refused")
    assert 0.8 * 6.0 <= refusal.retry_after_s <= 1.2 * 6.0, "6 of the 10 seconds are left"
    pool = view_fleet(story.fleet, 5.0).pools[0]
    assert (pool.condition, pool.reason) == ("unhealthy", "5 failures in a row")
    assert pool.breaker_turns == {OPEN: 3}
    assert [replica.breaker_until for replica in pool.replicas] == [11.0] * 3


def test_r14_whoever_waits_when_the_last_breaker_opens_is_refused_too() -> None:
    story = warm(chat(slots=5))
    story.at(1.0, *map(arrival, range(1, 8)))
    effects = story.at(2.0, *map(error, range(1, 6)))
    assert routes(effects) == [(6, 1), (7, 1)], "slots became free first"
    story = warm(chat(slots=1, breaker=BreakerSpec(failures_in_a_row=1)))
    story.at(1.0, arrival(1), arrival(2))
    assert refusals(story.at(2.0, error(1))) == [(1, "upstream_lost"), (2, "no_healthy_replica")]


def test_u04_half_open_lets_exactly_one_request_through() -> None:
    story = opened()
    assert turns(story.until(10.9)) == []
    assert turns(story.until(11.0)) == [(1, HALF_OPEN)]
    assert routes(story.at(12.0, arrival(100))) == [(100, 1)]
    (refusal,) = only(story.at(12.1, arrival(101)), Refuse)
    assert (refusal.reason.value, story.ledger.ended[101]) == ("no_healthy_replica", "refused")
    assert turns(story.at(12.5, answered(100))) == [(1, CLOSED)]
    assert routes(story.at(12.6, *map(arrival, range(102, 112)))) == [(ticket, 1) for ticket in range(102, 112)]


def test_the_half_open_instant_wakes_those_who_wait_for_a_slot_elsewhere() -> None:
    story = warm(chat(replicas=2, slots=1, breaker=BreakerSpec(failures_in_a_row=1)))
    story.at(1.0, arrival(1), arrival(2))
    story.at(2.0, error(1))
    story.at(3.0, arrival(3), arrival(4))
    assert routes(story.until(12.0)) == [(3, 1)], "the other one is still busy with 2"


def test_a_probe_that_fails_doubles_the_rest_up_to_its_bound() -> None:
    story = opened(now=0.0)
    rests, now = [10.0], 10.0
    for ticket in range(100, 107):
        story.at(now, arrival(ticket))
        (turn,) = only(story.at(now, error(ticket)), RecordBreaker)
        assert (turn.state, turn.reason) == (OPEN, "its probe failed (error)")
        rests.append(turn.for_s)
        now += turn.for_s
    assert rests == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def fail_again(story: Story, now: float, first: int) -> float:
    """Let the half-open breaker close, then fail five times; return how long it rests then."""
    story.at(now, arrival(first))
    story.at(now, answered(first))
    for ticket in range(first + 1, first + 6):
        story.at(now, arrival(ticket))
    (turn,) = only(story.at(now, *map(error, range(first + 1, first + 6))), RecordBreaker)
    return turn.for_s


def test_a_breaker_that_soon_opens_again_rests_twice_as_long_and_later_as_at_first() -> None:
    story = opened(now=0.0)
    assert fail_again(story, 10.0, 100) == 20.0
    assert fail_again(story, 30.0, 200) == 40.0
    story.at(70.0, arrival(300))
    story.at(70.0, answered(300))
    for ticket in range(301, 306):
        story.at(111.0, arrival(ticket))
    (turn,) = only(story.at(111.0, *map(error, range(301, 306))), RecordBreaker)
    assert turn.for_s == 10.0, "it was closed for longer than it had rested"


def test_what_was_sent_before_it_opened_says_nothing_any_more() -> None:
    story = warm(chat())
    for ticket in range(1, 9):
        story.at(1.0, arrival(ticket))
    story.at(2.0, *map(error, range(1, 6)))
    story.at(12.0, arrival(100))
    assert turns(story.at(12.1, answered(6), error(7))) == [], "only the probe decides"
    assert states(story) == [HALF_OPEN]
    assert turns(story.at(12.2, error(100))) == [(1, OPEN)]
    assert turns(story.at(12.3, error(8))) == []


def test_a_client_that_leaves_with_the_probe_makes_room_for_another_probe() -> None:
    story = opened()
    story.at(12.0, arrival(100))
    assert turns(story.at(12.5, Abandoned(100))) == []
    assert routes(story.at(13.0, arrival(101))) == [(101, 1)]
    assert turns(story.at(13.5, Finished(101))) == [(1, CLOSED)], "a caller's error is an answer too"


def test_a_probe_that_is_lost_opens_the_breaker_whoever_was_lost_before() -> None:
    story = warm(chat())
    for ticket in range(1, 8):
        story.at(1.0, arrival(ticket))
    story.at(2.0, *map(error, range(1, 6)))
    story.at(12.0, arrival(100))
    assert turns(story.at(12.1, Failed(6, FailureKind.LOST), Failed(100, FailureKind.LOST))) == [(1, OPEN)]


def silent(story: Story, now: float) -> list[Effect]:
    """Five requests in a row get no answer, and the health page is well each time; returns the effects of the last word."""
    for ticket in range(1, 6):
        story.at(now + ticket, arrival(ticket))
        story.at(now + ticket, Failed(ticket, FailureKind.TIMEOUT))
        effects = story.at(now + ticket, ReplicaHealthy(1))
    return effects


def test_r04_a_replica_of_ours_that_answers_its_health_page_but_no_request_is_replaced() -> None:
    story = warm(chat())
    effects = silent(story, 10.0)
    assert only(effects, StopReplica) == [StopReplica(1, "it answers its health page but no request")]
    assert refusals(story.at(15.1, arrival(100))) == [], "another one is on its way"
    story.at(15.2, ReplicaStopped(1))
    assert starts(story.until(15.5)) == [2]
    assert routes(story.ready(18.0, 2)) == [(100, 2)]


def test_a_silent_upstream_that_is_not_ours_is_only_left_alone() -> None:
    story = warm(replace(chat(), elastic=False))
    assert only(silent(story, 10.0), StopReplica) == []
    assert states(story) == [OPEN]


def hosted(replicas: int = 1) -> Story:
    return warm(replace(chat(replicas), elastic=False))


def test_r14_an_upstream_that_cannot_be_reached_is_tried_again_when_its_breaker_says_so() -> None:
    story = hosted()
    story.at(1.0, arrival(1))
    assert only(story.at(1.1, Failed(1, FailureKind.NOT_SENT)), ProbeReplica) == [ProbeReplica(1)]
    assert refusals(story.at(1.2, arrival(2))) == [], "a probe is under way"
    effects = story.at(1.5, ReplicaUnreachable(1, "its address cannot be reached"))
    assert only(effects, RecordBreaker) == [RecordBreaker("chat", 1, OPEN, "its address cannot be reached", 10.0)]
    assert refusals(effects) == [(2, "no_healthy_replica")]
    (refusal,) = only(story.at(5.5, arrival(3)), Refuse)
    assert 0.8 * 6.0 <= refusal.retry_after_s <= 1.2 * 6.0, "6 of the 10 seconds are left"
    assert turns(story.until(11.5)) == [(1, HALF_OPEN)]
    assert routes(story.at(12.0, arrival(4))) == [(4, 1)]
    assert turns(story.at(12.5, answered(4))) == [(1, CLOSED)], "it was back within one interval"
    assert starts([effect for _, _, effects in story.journal[1:] for effect in effects]) == [], (
        "the same replica as ever"
    )
    story.check_replay()


def test_r14_an_upstream_that_stays_away_is_asked_by_one_request_each_time_its_breaker_is_half_open() -> None:
    story = hosted()
    story.at(1.0, arrival(1))
    story.at(1.0, Failed(1, FailureKind.NOT_SENT), ReplicaUnreachable(1, "its address cannot be reached"))
    story.at(11.0, arrival(2))
    assert turns(story.at(11.0, Failed(2, FailureKind.NOT_SENT))) == [(1, OPEN)]
    assert turns(story.at(11.5, ReplicaUnreachable(1, "its address cannot be reached"))) == [], "the probe has said it"
    assert refusals(story.at(12.0, arrival(3))) == [(3, "no_healthy_replica")]
    assert turns(story.until(31.0)) == [(1, HALF_OPEN)], "twice as long"


def test_of_several_upstreams_only_the_one_that_cannot_be_reached_is_left_alone() -> None:
    story = hosted(replicas=2)
    story.at(1.0, arrival(1))
    story.at(1.0, Failed(1, FailureKind.NOT_SENT), ReplicaUnreachable(1, "its address cannot be reached"))
    assert states(story) == [OPEN, CLOSED]
    assert routes(story.at(2.0, arrival(2))) == [(2, 2)]


def test_a_late_word_that_an_upstream_cannot_be_reached_changes_nothing() -> None:
    story = hosted()
    assert story.at(1.0, ReplicaUnreachable(1, "its address cannot be reached")) == []
    assert states(story) == [CLOSED]


def test_an_open_breaker_is_gone_with_its_replica() -> None:
    story = opened()
    story.at(2.0, ReplicaFailed(1, FailureCause.EXITED, "it died"))
    story.ready(3.0, 2)
    assert routes(story.at(3.0, arrival(100))) == [(100, 2)]


def test_while_another_replica_is_coming_one_waits_for_it() -> None:
    story = opened(replicas=2)
    story.at(2.0, ReplicaFailed(2, FailureCause.EXITED, "it died"))
    assert refusals(story.at(2.1, arrival(100))) == [(100, "no_healthy_replica")], "it is not ordered yet"
    story.until(3.0)
    assert story.at(3.0, arrival(101)) == []
    assert routes(story.ready(4.0, 3)) == [(101, 3)]


def test_breakers_that_opened_at_different_times_rest_each_for_itself() -> None:
    story = warm(chat(replicas=2, slots=5))
    story.at(1.0, *map(arrival, range(1, 11)))
    on_first = [ticket for ticket, replica in story.ledger.where.items() if replica == 1]
    story.at(2.0, *map(error, on_first))
    story.at(5.0, *map(error, list(story.ledger.where)))
    assert turns(story.until(14.9)) == [(1, HALF_OPEN)]
    assert turns(story.until(15.0)) == [(2, HALF_OPEN)]


def test_an_answer_may_be_told_after_the_death_of_its_replica() -> None:
    story = warm(chat(replicas=2))
    story.at(1.0, arrival(1))
    story.at(2.0, ReplicaFailed(1, FailureCause.EXITED, "it died"))
    assert story.at(2.0, answered(1)) == []
    assert story.ledger.ended == {1: "finished"}


# ---- busy ------------------------------------------------------------------------------------------------------------


def test_u01_a_busy_replica_is_left_alone_as_long_as_it_asked_and_nothing_is_counted() -> None:
    story = warm(chat(replicas=2, attempts_max=1))
    story.at(1.0, arrival(1))
    effects = story.at(1.0, busy(1, 2.0))
    assert turns(effects) == [(1, PAUSED)]
    assert routes(story.until(1.15)) == [(1, 2)], "after a rest"
    assert routes(story.at(2.0, arrival(2), arrival(3))) == [(2, 2), (3, 2)]
    assert turns(story.until(3.0)) == [(1, CLOSED)]
    assert routes(story.at(3.0, arrival(4))) == [(4, 1)]


def test_u01_a_short_pause_of_all_replicas_is_waited_for() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    assert refusals(story.at(1.0, busy(1, 2.0))) == [(1, "upstream_lost")], "the client gets the 429 itself"
    assert story.at(1.5, arrival(2)) == []
    assert routes(story.until(3.0)) == [(2, 1)]


def test_u03_a_pause_longer_than_anybody_waits_refuses_at_once_and_has_its_bound() -> None:
    story = warm(chat())
    story.at(1.0, arrival(1))
    (turn,) = only(story.at(1.0, busy(1, 4000.0)), RecordBreaker)
    assert (turn.state, turn.for_s) == (PAUSED, 60.0)
    assert refusals(story.at(2.0, arrival(2))) == [(2, "no_healthy_replica")]
    assert story.at(32.0, arrival(3)) == []
    assert routes(story.until(61.0)) == [(3, 1)]


def test_u02_a_busy_replica_that_does_not_say_until_when_is_neither_paused_nor_blamed() -> None:
    story = warm(chat(slots=20))
    for ticket in range(1, 20):
        story.at(1.0, arrival(ticket))
    assert turns(story.at(2.0, *map(busy, range(1, 20)))) == []


def test_a_replica_that_is_open_needs_no_pause() -> None:
    story = warm(chat())
    story.at(1.0, *map(arrival, range(1, 7)))
    story.at(2.0, *map(error, range(1, 6)))
    assert turns(story.at(2.0, busy(6, 2.0))) == []
    assert states(story) == [OPEN]


def test_a_probe_that_finds_its_replica_busy_is_no_proof() -> None:
    story = opened()
    story.at(12.0, arrival(100))
    assert turns(story.at(12.0, busy(100))) == []
    assert states(story) == [HALF_OPEN]
    story.at(13.0, arrival(101))
    assert turns(story.at(13.0, busy(101, 5.0))) == [(1, PAUSED)]
    assert turns(story.until(18.0)) == [(1, CLOSED)]


# ---- slow ------------------------------------------------------------------------------------------------------------


def load(story: Story, pace: dict[int, float], seconds: float, clients: int, first: int) -> tuple[list[float], int]:
    """Clients that ask again as soon as they are answered; `pace` is the seconds an answer takes, by replica.

    Returns how long each answer took, in the order of their ends, and the next free ticket number.
    """
    start, ticket = story.now, first
    ends: list[tuple[float, int, float]] = []
    took: list[float] = []
    while story.now < start + seconds:
        while len(ends) < clients:
            ((_, replica),) = routes(story.at(story.now, arrival(ticket)))
            ends.append((story.now + pace[replica], ticket, pace[replica]))
            ticket += 1
        end = min(ends)
        ends.remove(end)
        story.at(end[0], answered(end[1]))
        took.append(end[2])
    for end in sorted(ends):
        story.at(end[0], answered(end[1]))
    return took, ticket


def test_r15_load_moves_away_from_the_one_that_is_ten_times_as_slow() -> None:
    story = warm(chat(replicas=4, slots=4))
    pace = {1: 0.2, 2: 2.0, 3: 0.2, 4: 0.2}
    took, ticket = load(story, pace, 30.0, 8, 1)
    assert states(story)[1] in {EJECTED, HALF_OPEN}
    took, _ = load(story, pace, 60.0, 8, ticket)
    assert sorted(took)[int(0.99 * len(took))] == 0.2, "only probes are slow now, and they are few"
    assert took.count(2.0) <= 3
    assert states(story).count(CLOSED) == 3


def test_r15_of_two_the_slow_one_is_ejected_and_never_the_last() -> None:
    story = warm(chat(replicas=2, slots=2))
    _, ticket = load(story, {1: 2.0, 2: 0.2}, 30.0, 2, 1)
    assert states(story)[0] is not CLOSED
    load(story, {1: 2.0, 2: 20.0}, 200.0, 2, ticket)
    assert CLOSED in states(story)


def test_r15_an_ejected_replica_comes_back_by_itself_when_its_probe_is_fast() -> None:
    story = warm(chat(replicas=3, slots=4))
    _, ticket = load(story, {1: 0.2, 2: 2.0, 3: 0.2}, 12.0, 6, 1)
    assert states(story)[1] is EJECTED
    load(story, {1: 0.2, 2: 0.2, 3: 0.2}, 20.0, 6, ticket)
    assert states(story) == [CLOSED] * 3
    reasons = [turn.reason for _, _, effects in story.journal for turn in only(effects, RecordBreaker)]
    assert reasons[-2:] == ["it has rested", "its probe was answered"]
    assert "times as slow as its peers" in reasons[0]


def test_a_replica_that_stays_slow_rests_longer_each_time() -> None:
    story = warm(chat(replicas=3, slots=4))
    load(story, {1: 0.2, 2: 2.0, 3: 0.2}, 100.0, 6, 1)
    rests = [turn.for_s for _, _, effects in story.journal for turn in only(effects, RecordBreaker) if turn.for_s]
    assert rests == pytest.approx([10.0, 20.0, 40.0, 80.0])


def test_where_all_are_slow_nobody_is() -> None:
    story = warm(chat(replicas=4, slots=4))
    _, ticket = load(story, dict.fromkeys(range(1, 5), 0.2), 20.0, 8, 1)
    load(story, dict.fromkeys(range(1, 5), 4.0), 200.0, 8, ticket)
    assert not [turn for _, _, effects in story.journal for turn in turns(effects)]


def test_a_third_of_the_replicas_are_ejected_at_most() -> None:
    story = warm(chat(replicas=6, slots=4))
    load(story, {replica: 0.2 if replica > 3 else 4.0 for replica in range(1, 7)}, 60.0, 12, 1)
    assert sum(state is not CLOSED for state in states(story)) == 2


def test_a_factor_of_zero_ejects_nobody() -> None:
    story = warm(chat(replicas=3, slots=4, ejection=EjectionSpec(slow_factor=0.0)))
    load(story, {1: 0.2, 2: 4.0, 3: 0.2}, 40.0, 6, 1)
    assert states(story) == [CLOSED] * 3


def test_long_answers_make_no_replica_slow() -> None:
    story = warm(chat(replicas=2, slots=1))
    ticket = 0
    for _ in range(40):
        ticket += 2
        first, second = (replica for _, replica in routes(story.at(story.now, arrival(ticket), arrival(ticket + 1))))
        assert {first, second} == {1, 2}
        tickets = {first: ticket, second: ticket + 1}
        story.at(story.now + 0.1, answered(tickets[1], tokens=10))
        story.at(story.now + 2.0, answered(tickets[2], tokens=200))
    assert states(story) == [CLOSED] * 2


def test_an_idle_pool_compares_nothing() -> None:
    story = warm(chat(replicas=3))
    load(story, {1: 0.2, 2: 0.2, 3: 0.2}, 1.0, 3, 1)
    story.until(1000.0)
    assert story.fleet.next_wake() == float("inf")


# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_state_of_a_breaker_can_be_left_and_reached() -> None:
    assert {state for state, _ in TABLE} == set(BreakerState)
    assert set(TABLE.values()) == set(BreakerState)
    assert {turn for _, turn in TABLE} == set(Turn)
    assert {state for state, turn in TABLE if turn is Turn.RESTED} == RESTING


@given(happenings=st.lists(st.tuples(st.sampled_from(Turn), st.floats(0.0, 400.0)), max_size=60))
def test_whatever_happens_a_breaker_rests_for_a_bounded_time(happenings: list[tuple[Turn, float]]) -> None:
    spec = BreakerSpec()
    breaker, now = Breaker(spec), 0.0
    for turn, passed_s in happenings:
        now += passed_s
        changed = breaker.turn(turn, "because", now, pause_s=1000.0)
        if changed and breaker.state in RESTING:
            bounds = (
                (spec.pause_s_max, spec.pause_s_max) if breaker.state is PAUSED else (spec.open_s_min, spec.open_s_max)
            )
            assert bounds[0] - 1e-6 <= breaker.until - now <= bounds[1] + 1e-6
        assert breaker.is_barred == (breaker.state in RESTING)


@pytest.mark.parametrize("state", BreakerState)
def test_a_turn_the_table_does_not_know_changes_nothing(state: BreakerState) -> None:
    for turn in Turn:
        if (state, turn) not in TABLE:
            breaker = Breaker(BreakerSpec())
            breaker.state = state
            assert not breaker.turn(turn, "because", 1.0)
            assert breaker.state is state


def test_r15_the_last_one_left_is_not_ejected_for_a_slow_probe() -> None:
    ejection = EjectionSpec(slow_factor=1.5, answers_min=1, share_max=1.0)
    breaker = BreakerSpec(failures_in_a_row=1, open_s_min=10.0, open_s_max=10.0)
    story = warm(chat(replicas=2, slots=1, ejection=ejection, breaker=breaker))
    story.at(1.0, arrival(1), arrival(2))
    story.at(1.1, answered(1))
    story.at(2.0, answered(2))
    assert [turn.state for turn in only(story.until(9.0), RecordBreaker)] == [EJECTED], "replica 2, nine times as slow"
    story.at(9.0, arrival(3))
    story.at(9.1, error(3))  # and replica 1 fails: both rest
    effects = story.at(16.5, arrival(4))
    assert routes(effects) == [(4, 2)], "half-open by now"
    (turn,) = only(story.at(18.0, answered(4)), RecordBreaker)
    assert (turn.replica_id, turn.state) == (2, CLOSED), "slow is better than nobody"


def test_answers_that_take_no_time_at_all_make_nobody_slow() -> None:
    story = warm(chat(replicas=2, slots=1, ejection=EjectionSpec(answers_min=1, share_max=1.0)))
    for ticket in (1, 3, 5):
        story.at(float(ticket), arrival(ticket), arrival(ticket + 1))
        story.at(float(ticket), answered(ticket))
        story.at(ticket + 0.5, answered(ticket + 1))
    assert only(story.until(30.0), RecordBreaker) == []


def test_r16_a_replica_that_answers_as_another_model_gets_nothing_more_after_one_answer() -> None:
    story = warm(chat(replicas=2, slots=1, attempts_max=1))
    story.at(1.0, arrival(1))
    effects = story.at(1.1, Failed(1, FailureKind.STRANGER))
    assert refusals(effects) == [(1, "upstream_lost")], "not tried again"
    assert only(effects, RecordBreaker) == [RecordBreaker("chat", 1, OPEN, "it answered as another model", 10.0)]
    assert routes(story.at(2.0, arrival(2), arrival(3))) == [(2, 2)]
    assert view_fleet(story.fleet, 2.0).pools[0].breaker_turns[OPEN] == 1
