"""Stories of batch beside people: what it may hold, when it gives a slot up, and what is scaled for it."""

from dataclasses import replace

from tests.core.story import GIB, Story, arrival, only, refusals, routes, starts, stops, warm
from toque.core.snapshot import view_fleet
from toque.model.batch_spec import BatchSpec
from toque.model.condition import BreakerState, FailureCause
from toque.model.fallback_spec import FallbackSpec
from toque.model.messages import (
    Abandoned,
    Arrived,
    Began,
    Effect,
    Failed,
    Finished,
    Hedge,
    Preempt,
    RecordDecision,
    ReplicaFailed,
    ReplicaHealthy,
    SpecChanged,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec
from toque.model.ticket import FailureKind, ServiceClass, Ticket
from toque.model.trust_spec import BreakerSpec, HedgeSpec


def chat(slots: int = 2, replicas: int = 1, queue: QueueSpec | None = None, **batch: float) -> PoolSpec:
    return PoolSpec(
        "chat",
        slots=slots,
        queue=queue or QueueSpec(),
        batch=BatchSpec(**batch),  # type: ignore[arg-type]
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=replicas),
    )


def job(*ticket_ids: int) -> list[Arrived]:
    return [arrival(ticket_id, batch=True) for ticket_id in ticket_ids]


def preempted(effects: list[Effect]) -> list[int]:
    return [effect.ticket_id for effect in only(effects, Preempt)]


def learnt(story: Story, service_s: float) -> None:
    """A batch request has taken so long, and it is known."""
    story.at(story.now, *job(900))
    story.at(story.now + service_s, Finished(900))


# ---- a slot for people -----------------------------------------------------------------------------------------------


def test_o05_batch_holds_every_slot_and_a_person_gets_one_in_the_same_step() -> None:
    story = warm(chat(slots=2))
    assert routes(story.at(1.0, *job(1, 2, 3))) == [(1, 1), (2, 1)]
    effects = story.at(2.0, arrival(4))
    assert preempted(effects) == [2], "the youngest, for it loses least"
    assert routes(effects) == [(4, 1)]
    assert routes(story.at(3.0, Finished(4))) == [(2, 1)], "it went to the front of its line, before 3"
    story.at(4.0, Finished(1), Finished(2), Finished(3))
    assert story.ledger.ended == dict.fromkeys((1, 2, 3, 4), "finished")
    view = view_fleet(story.fleet, 4.0).pools[0]
    assert (view.preempted, view.batch_in_flight) == (1, 0)
    story.check_replay()


def test_what_is_put_back_costs_no_retry_and_says_nothing_of_the_replica() -> None:
    story = warm(replace(chat(slots=1), breaker=BreakerSpec(failures_in_a_row=1)))
    story.at(1.0, *job(1))
    for number in range(2, 5):
        story.at(float(number), arrival(number))
        story.at(number + 0.5, Finished(number))
    pool = story.fleet.pools["chat"]
    assert (pool.share.preempted, pool.retries.live) == (3, 0)
    assert view_fleet(story.fleet, 9.0).pools[0].replicas[0].breaker is BreakerState.CLOSED
    assert story.ledger.where == {1: 1}


def test_an_answer_that_flows_to_its_client_is_never_taken_back() -> None:
    story = warm(chat(slots=2))
    story.at(1.0, *job(1, 2), Began(2), Began(77))
    assert preempted(story.at(2.0, arrival(3))) == [1]
    effects = story.at(2.1, arrival(4))
    assert (preempted(effects), routes(effects)) == ([], [])
    assert routes(story.at(3.0, Finished(2))) == [(4, 1)]


def test_each_of_many_people_gets_a_slot_as_long_as_batch_has_one() -> None:
    story = warm(chat(slots=3))
    story.at(1.0, *job(1, 2, 3))
    effects = story.at(2.0, *(arrival(number) for number in range(4, 9)))
    assert preempted(effects) == [3, 2, 1]
    assert routes(effects) == [(4, 1), (5, 1), (6, 1)]


def test_a_line_without_places_is_no_reason_to_refuse_people_while_batch_runs() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(length_max=0), preempt_patience_s=100.0))
    story.at(1.0, *job(1))
    effects = story.at(2.0, arrival(2))
    assert (preempted(effects), routes(effects), refusals(effects)) == ([1], [(2, 1)], [])
    assert refusals(story.at(2.1, arrival(3))) == [(3, "queue_full")]


def test_people_wait_for_a_slot_that_frees_soon_but_not_beyond_their_patience() -> None:
    story = warm(chat(slots=2, preempt_patience_s=1.5))
    learnt(story, 1.0)
    story.at(2.0, *job(1, 2))
    assert preempted(story.at(2.1, arrival(3))) == [], "two slots, each busy for a second: one is free soon"
    assert story.fleet.pools["chat"].placing.next_at == 3.6
    effects = story.until(3.7)
    assert (preempted(effects), routes(effects)) == ([2], [(3, 1)])


def test_a_batch_request_that_is_nearly_done_is_spared() -> None:
    story = warm(chat(slots=2, preempt_patience_s=0.3))
    learnt(story, 10.0)
    story.at(20.0, *job(1))
    story.at(29.5, *job(2))
    story.at(29.8, Abandoned(2))
    story.at(29.8, arrival(3))
    effects = story.at(29.8, arrival(4))
    assert (preempted(effects), routes(effects)) == ([], []), "1 has 0.2 s left"
    assert routes(story.at(30.0, Finished(1))) == [(4, 1)]
    assert story.until(31.0) is not None
    assert story.fleet.pools["chat"].placing.next_at == float("inf")


def test_slots_that_cannot_be_used_are_not_emptied() -> None:
    spec = chat(slots=1, replicas=2)
    story = warm(replace(spec, replicas=ReplicaBounds(minimum_warm=2, maximum=2, drain_s_max=1000.0)))
    story.at(1.0, *job(1, 2))
    fewer = replace(spec, replicas=ReplicaBounds(minimum_warm=1, maximum=1, drain_s_max=1000.0))
    story.at(2.0, SpecChanged(FleetSpec((fewer,), story.spec.capacity)))
    assert preempted(story.at(3.0, arrival(3))) == [1], "2 is on the replica that drains"
    assert preempted(story.at(3.1, arrival(4))) == []


def test_while_the_replica_of_batch_is_in_doubt_nobody_looks_at_it_again_and_again() -> None:
    story = warm(chat(slots=2, preempt_patience_s=0.0))
    story.at(1.0, *job(1, 2))
    story.at(1.5, Failed(1, FailureKind.LOST))
    assert preempted(story.at(2.0, arrival(3))) == []
    assert story.fleet.pools["chat"].placing.next_at == float("inf")
    assert routes(story.at(3.0, ReplicaHealthy(1))) == [(3, 1)]


def test_a_person_whose_replica_failed_gets_a_slot_of_batch_too() -> None:
    story = warm(chat(slots=1, replicas=2))
    story.at(1.0, arrival(1), *job(2))
    effects = story.at(2.0, Failed(1, FailureKind.LOST))
    assert (preempted(effects), routes(effects)) == ([2], [(1, 2)])


def test_the_probe_of_a_breaker_gives_its_place_to_a_person() -> None:
    spec = replace(chat(slots=2), breaker=BreakerSpec(failures_in_a_row=1, open_s_min=5.0))
    story = warm(spec)
    story.at(1.0, arrival(1))
    story.at(1.5, Failed(1, FailureKind.ERROR, began=True))
    story.at(7.0, *job(2))
    assert story.ledger.where == {2: 1}
    story.at(7.1, Finished(2))
    assert routes(story.at(7.2, arrival(3))) == [(3, 1)]


def test_batch_is_not_hedged() -> None:
    hedge = HedgeSpec(enabled=True, after_s=1.0)
    story = warm(replace(chat(slots=2, replicas=2), hedge=hedge))
    story.at(1.0, Arrived(Ticket(1, "chat", 1e9, ServiceClass.BATCH, whole_tokens_max=10)))
    assert only(story.until(10.0), Hedge) == []


# ---- every job moves -------------------------------------------------------------------------------------------------


def test_who_was_put_back_often_enough_keeps_a_slot_once_the_share_of_batch_allows_it() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(batch_share_ratio=0.1), preemptions_max=2))
    story.at(100.0, *job(1))
    put_back = 0
    for number in range(2, 20):
        now = 100.0 + number
        put_back += len(preempted(story.at(now, arrival(number))))
        story.at(now + 0.5, *(Finished(ticket) for ticket in list(story.ledger.where) if ticket != 1))
    assert put_back == 2, "of 100 s a tenth was saved up"
    waiting = [ticket for ticket, replica in story.ledger.where.items() if replica is None]
    assert waiting == list(range(4, 20)), "1 keeps its slot to the end"
    assert routes(story.at(121.0, Finished(1)))[0] == (4, 1)


def test_what_such_requests_take_is_charged_so_that_the_next_yields_again() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(batch_share_ratio=0.1), preemptions_max=1))
    story.at(100.0, *job(1))
    story.at(101.0, arrival(2))
    story.at(102.0, Finished(2))
    assert preempted(story.at(103.0, arrival(3))) == []
    story.at(130.0, Finished(1), *job(4))
    story.at(130.5, Finished(3))
    assert preempted(story.at(131.0, arrival(5))) == [4]
    story.at(132.0, Finished(5))
    assert preempted(story.at(133.0, arrival(6))) == [4], "28 s of slot time take 280 s to earn"


def test_without_a_share_nobody_keeps_a_slot() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(batch_share_ratio=0.0), preemptions_max=1))
    story.at(100.0, *job(1))
    for number in range(2, 10):
        now = 100.0 + 10 * number
        assert preempted(story.at(now, arrival(number))) == [1]
        story.at(now + 1.0, Finished(number))


def test_who_goes_by_the_share_of_the_aged_is_not_put_back_for_those_it_was_preferred_to() -> None:
    story = warm(chat(slots=1, queue=QueueSpec(ageing_s=1.0, batch_share_ratio=0.5, wait_s_max=100.0)))
    story.at(0.0, arrival(1), *job(2), *(arrival(number) for number in range(3, 6)))
    assert routes(story.at(5.0, Finished(1))) == [(3, 1)]
    effects = story.at(6.0, Finished(3))
    assert (routes(effects), preempted(effects)) == ([(2, 1)], [])
    assert preempted(story.at(7.0, arrival(6))) == []


def test_where_batch_is_never_preempted_people_wait_for_it() -> None:
    story = warm(chat(slots=1, preemptions_max=0))
    story.at(1.0, *job(1))
    assert preempted(story.at(2.0, arrival(2))) == []
    assert routes(story.at(5.0, Finished(1))) == [(2, 1)]


# ---- room that batch leaves ------------------------------------------------------------------------------------------


def test_batch_never_holds_a_slot_of_the_reserve() -> None:
    story = warm(chat(slots=4, reserve_ratio=0.3, reserve_min=1))
    assert len(routes(story.at(1.0, *job(1, 2, 3, 4)))) == 2, "0.3 of 4, rounded up, is reserved"
    effects = story.at(2.0, arrival(5), arrival(6))
    assert (len(routes(effects)), preempted(effects)) == (2, [])
    assert routes(story.at(3.0, Finished(5))) == [], "the slot of the reserve stays free"
    assert routes(story.at(4.0, Finished(1))) == [(3, 1)]


def test_a_reserve_of_everything_leaves_batch_one_slot() -> None:
    story = warm(chat(slots=2, reserve_ratio=1.0))
    assert routes(story.at(1.0, *job(1, 2))) == [(1, 1)]


def test_headroom_stays_free_of_batch_but_people_may_fill_it() -> None:
    story = warm(chat(slots=4, headroom=2))
    assert routes(story.at(1.0, *job(1, 2, 3))) == [(1, 1), (2, 1)]
    assert len(routes(story.at(2.0, arrival(4), arrival(5)))) == 2
    assert routes(story.at(3.0, Finished(4))) == []
    assert routes(story.at(3.0, Finished(5), Finished(1))) == [(3, 1)]


def test_headroom_counts_the_slots_that_can_be_used() -> None:
    story = warm(replace(chat(slots=2, replicas=2, headroom=1), breaker=BreakerSpec(failures_in_a_row=1)))
    story.at(1.0, arrival(1))
    story.at(1.1, Failed(1, FailureKind.ERROR, began=True))
    assert len(routes(story.at(2.0, *job(2, 3, 4)))) == 1, "one replica is barred; of two slots one stays free"


def test_headroom_of_everything_leaves_batch_one_slot() -> None:
    story = warm(chat(slots=1, headroom=5))
    assert routes(story.at(1.0, *job(1, 2))) == [(1, 1)]


def test_aged_batch_goes_beside_waiting_people_but_not_into_the_reserve() -> None:
    queue = QueueSpec(ageing_s=0.0, batch_share_ratio=0.5)
    story = warm(chat(slots=2, queue=queue, reserve_min=1, preemptions_max=0))
    story.at(1.0, *job(1, 2), arrival(3), arrival(4), arrival(5))
    assert story.ledger.where == {1: 1, 2: None, 3: 1, 4: None, 5: None}
    assert routes(story.at(2.0, Finished(3))) == [(4, 1)]
    assert routes(story.at(3.0, Finished(4))) == [(5, 1)], "batch has its one slot"


# ---- replicas for batch ----------------------------------------------------------------------------------------------


def elastic(minimum: int, maximum: int, replicas: int = 0) -> PoolSpec:
    bounds = ReplicaBounds(minimum_warm=minimum, maximum=maximum, idle_to_zero_s=10.0, scale_down_delay_s=5.0)
    return PoolSpec(
        "chat", batch=BatchSpec(replicas=replicas), replicas=bounds, scaling=ScalingSpec(stable_window_s=6.0)
    )


def told(effects: list[Effect]) -> str:
    return only(effects, RecordDecision)[-1].decision.desired.reason


def test_a_backlog_alone_starts_one_replica_of_an_empty_pool_and_keeps_it() -> None:
    story = Story(elastic(0, 4), loads_in_s=1.0)
    effects = story.at(1.0, *job(*range(1, 51))) + story.until(120.0)
    assert starts(effects) == [1]
    assert "1 so that 50 of batch move" in told(effects)
    assert story.fleet.pools["chat"].supply.roster.live == 1
    for number in range(1, 51):
        story.at(story.now + 1.0, Finished(number))
    story.until(story.now + 60.0)
    assert story.fleet.pools["chat"].supply.roster.live == 0


def test_batch_lives_on_what_the_load_of_people_keeps_warm() -> None:
    story = Story(elastic(1, 8), loads_in_s=1.0)
    story.until(5.0)
    story.at(5.0, *job(*range(1, 21)))
    effects = story.at(6.0, *(arrival(number) for number in range(101, 104))) + story.until(12.0)
    assert story.fleet.pools["chat"].supply.roster.live == 3
    assert "20 of batch take what is idle" in told(effects)


def test_settings_may_grant_replicas_to_batch() -> None:
    story = Story(elastic(1, 8, replicas=2), loads_in_s=1.0)
    effects = story.at(5.0, *job(*range(1, 21))) + story.until(20.0)
    assert story.fleet.pools["chat"].supply.roster.live == 2
    assert "2 more for 20 of batch" in told(effects)
    story.at(20.0, *(Finished(number) for number in range(1, 20)))
    effects = story.until(40.0)
    assert "1 more for 1 of batch" in told(effects)


def test_batch_that_is_refused_is_no_load_of_people() -> None:
    story = Story(replace(elastic(0, 4), queue=QueueSpec(length_max=1)), loads_in_s=1.0)
    assert refusals(story.at(1.0, *job(1, 2))) == [(2, "queue_full")]
    assert story.fleet.pools["chat"].scaler.demand == 1


# ---- other ways ------------------------------------------------------------------------------------------------------


def test_people_spill_over_to_a_pool_whose_batch_gives_way_rather_than_wait() -> None:
    busy = replace(chat(slots=1), fallback=FallbackSpec(("spare",), patience_s=0.1))
    spare = replace(chat(slots=1), name="spare")
    story = warm(busy, spare)
    story.at(1.0, arrival(1), arrival(2, "spare", batch=True))
    effects = story.at(2.0, arrival(3, fallbacks=("spare",))) + story.until(3.0)
    assert (preempted(effects), routes(effects)) == ([2], [(3, 2)])


def test_a_replica_that_dies_takes_batch_along_like_anybody() -> None:
    story = warm(chat(slots=2))
    story.at(1.0, *job(1, 2))
    story.at(
        2.0, ReplicaFailed(1, FailureCause.EXITED, "killed"), Failed(1, FailureKind.LOST), Failed(2, FailureKind.LOST)
    )
    assert story.fleet.pools["chat"].share.in_flight == {}
    assert story.ledger.where == {1: None, 2: None}


# ---- room for another model ------------------------------------------------------------------------------------------


def machine() -> Story:
    """Two models of which one at a time fits; `a` has a job, and `b` nothing yet."""
    bounds = ReplicaBounds(minimum_warm=0, maximum=1, idle_to_zero_s=1e6)
    pools = [PoolSpec(name, slots=2, replicas=bounds, footprint=Resources(4 * GIB)) for name in ("a", "b")]
    story = Story(*pools, capacity=Resources(6 * GIB), loads_in_s=1.0)
    story.at(1.0, *(arrival(number, "a", batch=True) for number in range(1, 5)))
    story.until(3.0)
    assert story.ledger.where == {1: 1, 2: 1, 3: None, 4: None}
    return story


def test_a_job_of_one_model_makes_room_for_people_who_ask_for_another() -> None:
    story = machine()
    effects = story.at(10.0, arrival(5, "b"))
    assert (preempted(effects), stops(effects)) == ([1, 2], [1])
    assert routes(story.until(12.0)) == [(5, 2)]


def test_people_who_have_just_been_served_are_not_evicted_by_the_job_at_once() -> None:
    story = machine()
    story.at(10.0, arrival(5, "b"))
    story.at(13.0, Finished(5))
    assert stops(story.until(20.0)) == [], "`b` stays for the next question"
    assert routes(story.at(20.0, arrival(6, "b"))) == [(6, 2)]
    story.at(21.0, Finished(6))
    story.until(39.0)
    assert story.ledger.replicas == {3: "ready"}, "after ageing_s without people the job has the room again"


def test_a_job_whose_answers_flow_makes_no_room() -> None:
    story = machine()
    story.at(5.0, Began(1))
    assert stops(story.at(10.0, arrival(5, "b"))) == []
    effects = story.at(11.0, Finished(1))
    assert (routes(effects), stops(effects)) == ([(3, 1)], [1]), "3 has just begun, and yields"
