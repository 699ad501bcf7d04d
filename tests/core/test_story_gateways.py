"""Stories of several gateways: how slots come to them, move between them, and come back."""

from dataclasses import replace

import pytest

from tests.core.league import League
from tests.core.story import arrival, only
from toque.core.snapshot import view_fleet
from toque.model.batch_spec import BatchSpec
from toque.model.cluster import (
    AskForSlots,
    GatewayDied,
    GatewayJoined,
    GatewayLost,
    GrantSlots,
    HoldingsKnown,
    LoadReported,
    OfferReplica,
    PoolLoad,
    ProspectTold,
    ReplicaClaimed,
    ReplicaOffered,
    ReplicaWithdrawn,
    SlotsCapped,
    SlotsGranted,
    SlotsReturned,
)
from toque.model.condition import FailureCause
from toque.model.messages import (
    Failed,
    Finished,
    RecordDecision,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaReady,
    SpecChanged,
    StartReplica,
)
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, ScalingSpec
from toque.model.ticket import FailureKind, RefusalReason


def chat(slots: int = 4, replicas: int = 2, maximum: int = 0, **more: object) -> PoolSpec:
    bounds = ReplicaBounds(minimum_warm=replicas, maximum=maximum or max(1, replicas), idle_to_zero_s=10.0)
    return PoolSpec("chat", slots=slots, replicas=bounds, **more)  # type: ignore[arg-type]


def test_one_gateway_gets_all_slots_and_three_share_them_evenly() -> None:
    assert League(chat(), "a").share() == [8]
    league = League(chat(), "a", "b", "c")
    assert sum(league.share()) == 8
    assert min(league.share()) >= 2


def test_each_gateway_has_slots_of_many_replicas_rather_than_many_of_one() -> None:
    league = League(chat(slots=4, replicas=4), "a", "b")
    for side in league.sides.values():
        assert sorted(count for _, count in side.held()) == [2, 2, 2, 2]


def test_a_gateway_that_has_all_the_traffic_gets_what_the_others_can_miss() -> None:
    league = League(chat(), "a", "b")
    for _ in range(20):
        league.arrive("a")
    league.flow()
    assert league.share() == [8, 0]
    assert len(league.sides["a"].in_flight) == 8


def test_a_lone_request_at_a_gateway_without_slots_is_served_when_one_ends_that_came_later() -> None:
    league = League(chat(), "a", "b")
    early = [league.arrive("a") for _ in range(12)]
    league.flow()
    lone = league.arrive("b")
    league.now += 0.1
    late = [league.arrive("a") for _ in range(30)]
    league.flow()
    for ticket_id in early:
        league.finish("a", ticket_id)
        league.flow(0.1)
    assert lone in league.sides["b"].in_flight
    assert not all(ticket_id in league.sides["a"].in_flight for ticket_id in late)


def test_with_fewer_slots_than_gateways_a_slot_goes_where_somebody_waits() -> None:
    league = League(chat(slots=1, replicas=1), "a", "b", "c")
    assert sum(league.share()) == 1
    for name in ("a", "b", "c"):
        ticket_id = league.arrive(name)
        league.flow()
        assert ticket_id in league.sides[name].in_flight
        league.finish(name, ticket_id)


def test_a_slot_in_use_comes_back_when_its_request_has_ended() -> None:
    league = League(chat(slots=2, replicas=1), "a", "b")
    tickets = [league.arrive("a") for _ in range(4)]
    league.flow()
    assert league.share() == [2, 0]
    lone = league.arrive("b")
    league.flow()
    assert league.share() == [2, 0]  # both are in use
    for ticket_id in tickets[:3]:  # two of them came before the lone one
        league.finish("a", ticket_id)
        league.flow(0.05)
    assert lone in league.sides["b"].in_flight


def test_one_slot_that_comes_back_goes_to_one_of_two_who_lack_one() -> None:
    league = League(chat(slots=4, replicas=1), "a", "b", "c")
    busy = [league.arrive("a") for _ in range(4)]
    league.flow()
    assert league.share() == [4, 0, 0]
    first = league.arrive("b")
    league.now += 0.1
    second = league.arrive("c")
    league.flow()
    league.finish("a", busy[0])
    league.flow()
    assert first in league.sides["b"].in_flight
    assert second not in league.sides["c"].in_flight
    league.finish("a", busy[1])
    league.flow()
    assert second in league.sides["c"].in_flight


def test_batch_of_one_gateway_leaves_a_slot_to_the_people_of_another() -> None:
    league = League(chat(), "a", "b")
    for _ in range(20):
        league.arrive("a", batch=True)
    league.flow()
    assert league.share() == [7, 1]
    person = league.arrive("b")
    assert person in league.sides["b"].in_flight


def test_what_is_merely_uneven_does_not_move() -> None:
    league = League(chat(), "a", "b")
    league.effects.clear()
    for _ in range(2):
        ticket_id = league.arrive("a")
        league.flow()
        league.finish("a", ticket_id)
        league.flow()
    assert not [effect for effect in league.effects if isinstance(effect, GrantSlots)]


def test_the_death_of_a_gateway_returns_what_it_held() -> None:
    league = League(chat(), "a", "b")
    league.arrive("a")
    league.kill("a")
    league.flow()
    assert league.share() == [8]


def test_a_gateway_that_is_silent_keeps_what_it_has_and_gets_nothing() -> None:
    league = League(chat(), "a", "b")
    for _ in range(4):
        league.arrive("a")
    league.cut("a")
    for _ in range(10):
        league.arrive("b")
    league.flow()
    assert league.share() == [4, 4]
    assert len(league.sides["a"].in_flight) == 4
    league.join("a")
    league.flow()
    assert sum(league.share()) == 8


def test_what_was_granted_on_a_lost_connection_is_not_lost() -> None:
    league = League(chat(), "a", "b")
    for _ in range(8):
        league.arrive("a")
    league.report("a")
    league.deliver("a", up=True)
    while league.sides["b"].down or league.sides["b"].up:
        league.deliver("b", up=False)
        league.deliver("b", up=True)
    assert any(isinstance(event, SlotsGranted) for event in league.sides["a"].down)
    league.cut("a")
    league.join("a")
    league.flow()
    assert sum(league.share()) == 8


def test_the_scaler_goes_by_the_load_of_all_gateways() -> None:
    league = League(chat(slots=2, replicas=1, maximum=4), "a", "b")
    for _ in range(3):
        league.arrive("a")
        league.arrive("b")
    league.flow(5.0)
    assert league.replicas == 4
    (pool,) = view_fleet(league.controller, league.now).pools
    assert pool.in_flight == 6
    for name in ("a", "b"):
        for ticket_id in list(league.sides[name].in_flight):
            league.finish(name, ticket_id)
    league.flow(300.0)
    assert league.replicas == 1


def test_a_request_at_any_gateway_starts_the_first_replica_of_an_empty_pool_at_once() -> None:
    league = League(chat(replicas=0), "a", "b")
    assert league.replicas == 0
    ticket_id = league.arrive("b")
    league.flow(0.01)
    assert ticket_id in league.sides["b"].in_flight
    league.finish("b", ticket_id)
    league.flow(200.0)
    assert league.replicas == 0


def test_a_replica_drains_until_no_gateway_has_a_request_in_it() -> None:
    league = League(chat(slots=2, replicas=2), "a", "b")
    first = [league.arrive("a") for _ in range(2)]
    league.flow()
    smaller = chat(slots=2, replicas=1)
    league.tell(SpecChanged(FleetSpec((smaller,), league.controller.spec.capacity, lends=True)))
    league.flow(5.0)
    assert sum(league.share()) == 2
    roster = league.controller.pools["chat"].supply.roster
    assert len(roster.replicas) == 2, "one drains still"
    for ticket_id in first:
        league.finish("a", ticket_id)
    league.flow(5.0)
    assert len(roster.replicas) == 1


def test_a_replica_that_drains_is_taken_back_with_the_slots_that_are_still_out() -> None:
    league = League(chat(slots=2, replicas=2), "a", "b")
    ticket_ids = [league.arrive(name) for name in "aabb"]
    spec, less = league.controller.spec, chat(slots=2, replicas=1)
    league.tell(SpecChanged(FleetSpec((less,), spec.capacity, lends=True)))
    league.flow(2.0)
    league.tell(SpecChanged(spec))
    league.flow(2.0)
    assert sorted(league.controller.owned()) == [1, 2], "it is the same replica"
    assert sum(league.share()) == 4
    for name, ticket_id in zip("aabb", ticket_ids, strict=True):
        league.finish(name, ticket_id)


def test_a_replica_that_dies_takes_its_slots_along() -> None:
    league = League(chat(slots=2, replicas=2), "a", "b")
    league.tell(ReplicaFailed(1, FailureCause.EXITED, "it died"))
    league.flow(2.0)
    assert sum(league.share()) == 4
    assert {i for side in league.sides.values() for i, _ in side.held()} == {2, 3}


def test_slots_of_a_replica_that_a_gateway_does_not_trust_are_made_up_for() -> None:
    league = League(chat(slots=2, replicas=2), "a", "b")
    side = league.sides["a"]
    mine = {replica_id for replica_id, _ in side.held()}
    for _ in range(5):
        ticket_id = league.arrive("a")
        replica_id = side.in_flight.pop(ticket_id)
        league.hear("a", Failed(ticket_id, FailureKind.ERROR, began=True))
        mine.discard(replica_id)
    for _ in range(3):
        league.arrive("a")
    league.flow(0.5)
    assert all(replica_id for replica_id, _ in side.held())


def test_the_pool_that_leaves_gives_everything_back_and_is_forgotten() -> None:
    league = League(chat(), "a", "b")
    ticket_id = league.arrive("a")
    nothing = FleetSpec((), league.controller.spec.capacity, lends=True)
    for name, side in league.sides.items():
        league.hear(name, SpecChanged(FleetSpec((), side.fleet.spec.capacity)))
    league.tell(SpecChanged(nothing))
    for name in league.sides:
        while league.sides[name].down or league.sides[name].up:
            league.deliver(name, up=False)
            league.deliver(name, up=True)
    assert "chat" in league.controller.pools
    side = league.sides["a"]
    del side.in_flight[ticket_id]
    league.hear("a", Finished(ticket_id))
    while side.up or side.down:
        league.deliver("a", up=True)
        league.deliver("a", up=False)
    assert not league.controller.pools
    assert not side.fleet.pools


def test_a_new_pool_is_lent_to_gateways_that_are_there_and_kept_from_those_that_are_silent() -> None:
    league = League(chat(), "a", "b")
    league.cut("b")
    more = PoolSpec("code", slots=3)
    league.tell(SpecChanged(FleetSpec((chat(), more), league.controller.spec.capacity, lends=True)))
    lender = league.controller.lending.lenders["code"]
    assert {name: account.total for name, account in lender.accounts.items()} == {"a": 3, "b": 0}


def test_nothing_is_lent_and_nothing_decided_before_all_holdings_are_known() -> None:
    league = League(chat(slots=2, replicas=1, maximum=4), "a", "b", is_informed=False)
    assert league.share() == [0, 0]
    for _ in range(6):
        league.arrive("a")
    league.flow(10.0)
    assert league.share() == [0, 0]
    assert not [effect for effect in league.effects if isinstance(effect, RecordDecision)]
    league.tell(HoldingsKnown())
    league.flow(10.0)
    assert league.replicas == 4
    assert league.share() == [8, 0] or sum(league.share()) == 8


def test_a_new_leader_hears_what_is_held_before_it_lends() -> None:
    league = League(chat(slots=2, replicas=1), is_informed=False)
    league.tell(GatewayJoined("a", ((1, 2), (77, 5))))
    league.tell(HoldingsKnown())
    league.tell(GatewayJoined("b"))
    assert not [effect for effect in league.effects if isinstance(effect, GrantSlots)]


def test_slots_claimed_of_a_replica_that_came_later_are_not_lent_to_others() -> None:
    league = League(chat(slots=2, replicas=0), is_informed=True)
    league.tell(GatewayJoined("b"))
    pool = league.controller.pools["chat"]
    effects = []
    league._carry_out = effects.append  # type: ignore[method-assign]  # the story answers by itself
    league.tell(LoadReported("b", "chat", PoolLoad(waiting=1)))
    assert [e for e in effects if isinstance(e, StartReplica)]
    league.tell(ReplicaReady(1))
    assert [e for e in effects if isinstance(e, OfferReplica)]
    league.tell(ReplicaClaimed(1, (("a", 1),)))
    assert pool.supply.roster.replicas[1].lent == 2
    assert [e for e in effects if isinstance(e, GrantSlots)] == [GrantSlots("b", 1, 1)]
    league.tell(ReplicaClaimed(1, (("a", 1),)))  # told twice
    assert pool.supply.roster.replicas[1].lent == 2


def test_late_words_about_what_is_gone_change_nothing() -> None:
    league = League(chat(), "a")
    for event in (
        SlotsReturned("nobody", 1, 1),
        SlotsReturned("a", 99, 1),
        ReplicaClaimed(99),
        LoadReported("nobody", "chat", PoolLoad(waiting=3)),
        LoadReported("a", "code", PoolLoad(waiting=3)),
        GatewayLost("nobody"),
        GatewayDied("nobody"),
    ):
        league.tell(event)
    for word in (ReplicaOffered("code", 50), ReplicaWithdrawn(50), SlotsCapped("code", 1)):
        league.hear("a", word)
    assert league.share() == [8]
    league.hear("a", SlotsGranted(50, 2))
    assert league.sides["a"].up.pop() == SlotsReturned("a", 50, 2)


def test_slots_granted_on_a_replica_that_was_withdrawn_meanwhile_go_straight_back() -> None:
    league = League(chat(slots=2, replicas=1), "a")
    league.hear("a", ReplicaWithdrawn(1))
    league.hear("a", ReplicaWithdrawn(1))
    assert league.sides["a"].up.pop() == SlotsReturned("a", 1, 2)
    league.hear("a", SlotsGranted(1, 1))
    assert league.sides["a"].up.pop() == SlotsReturned("a", 1, 1)


def test_a_gateway_is_told_why_nothing_comes_and_refuses_at_once() -> None:
    league = League(chat(replicas=0), "a")
    league.cut("a")
    waiting = league.arrive("a")
    league.hear("a", ProspectTold("chat", RefusalReason.NO_HEALTHY_REPLICA))
    late = league.arrive("a")
    assert league.sides["a"].refused == [waiting, late]
    league.hear("a", ProspectTold("chat", None))
    league.arrive("a")
    assert league.sides["a"].refused == [waiting, late]


def test_other_settings_hold_for_given_replicas_too_and_start_none() -> None:
    league = League(chat(slots=2, replicas=1), "a")
    side = league.sides["a"]
    spec = side.fleet.spec.pools[0]
    league.hear("a", SpecChanged(FleetSpec((replace(spec, slots=1),), side.fleet.spec.capacity), ("chat",)))
    assert league.share() == [2]
    assert side.fleet.next_wake() > league.now
    league.hear("a", ReplicaHealthy(1))
    league.hear("a", ReplicaOffered("chat", 1))  # told twice
    assert league.share() == [2]


@pytest.mark.parametrize("gateways", [2, 5])
def test_batch_that_nobody_is_beside_fills_every_slot_but_one_a_gateway_for_people(gateways: int) -> None:
    names = [f"g{number}" for number in range(gateways)]
    league = League(chat(slots=8, replicas=2, batch=BatchSpec(), scaling=ScalingSpec()), *names)
    for _ in range(60):
        league.arrive("g0", batch=True)
    league.flow()
    assert league.slots("g0") == 16 - (gateways - 1)


def test_batch_gives_its_slots_up_for_people_at_another_gateway_once_their_patience_is_over() -> None:
    batch = BatchSpec(preempt_patience_s=2.0, preemptions_max=3)
    league = League(chat(slots=2, replicas=1, batch=batch), "a", "b")
    for _ in range(4):
        league.arrive("a", batch=True)
    league.flow()
    people = [league.arrive("b") for _ in range(2)]
    league.flow(1.0)
    assert people[1] not in league.sides["b"].in_flight
    league.flow(2.0)
    assert sorted(league.sides["b"].in_flight) == people
    assert not league.sides["a"].fleet.pools["chat"].supply.roster.in_flight


def test_batch_that_keeps_its_slots_keeps_them_from_people_at_another_gateway_too() -> None:
    league = League(chat(slots=2, replicas=1, batch=BatchSpec(preemptions_max=0)), "a", "b")
    for _ in range(4):
        league.arrive("a", batch=True)
    league.flow()
    people = [league.arrive("b") for _ in range(2)]
    league.flow(9.0)
    assert people[1] not in league.sides["b"].in_flight


def test_a_slot_that_batch_gives_up_goes_where_it_is_missed_before_the_next_is_taken() -> None:
    batch = BatchSpec(preempt_patience_s=0.3, preemptions_max=3)
    league = League(chat(slots=4, replicas=1, batch=batch), "a", "b")
    for _ in range(4):
        league.arrive("a", batch=True)
    league.flow()
    assert league.share() == [4, 0]
    league.now += 0.1
    for _ in range(2):
        league.arrive("b")
    league.report("b")
    league.deliver("b", up=True)
    assert SlotsCapped("chat", 2, for_people=True) in league.sides["a"].down
    while league.sides["a"].down:
        league.deliver("a", up=False)
    person = league.arrive("a")
    assert person in league.sides["a"].in_flight
    assert league.slots("a") == 2
    league.flow()
    assert league.share() == [2, 2]


def test_a_person_finds_nothing_where_all_that_batch_gives_up_is_missed_elsewhere() -> None:
    batch = BatchSpec(preempt_patience_s=0.3, preemptions_max=3)
    league = League(chat(slots=1, replicas=1, batch=batch), "a", "b")
    league.arrive("a", batch=True)
    league.flow()
    league.now += 0.1
    league.arrive("b")
    league.report("b")
    league.deliver("b", up=True)
    league.deliver("a", up=False)
    person = league.arrive("a")
    assert person not in league.sides["a"].in_flight
    league.flow()
    assert league.share() == [0, 1]


def test_a_start_that_failed_was_never_offered_and_a_claim_of_one_that_comes_is_none() -> None:
    league = League(chat(slots=2, replicas=1, maximum=3), "a")
    league._carry_out = lambda effect: None  # type: ignore[method-assign]  # starts take their time here
    league.tell(SpecChanged(FleetSpec((chat(slots=2, replicas=2),), league.controller.spec.capacity, lends=True)))
    league.effects.clear()
    league.tell(GatewayJoined("a", ((1, 2), (2, 2))))
    assert league.controller.lending.lenders["chat"].accounts["a"].held == {1: 2}
    league.tell(ReplicaFailed(2, FailureCause.EXITED, "it died"))
    assert not league.effects


def test_what_comes_back_goes_to_whom_somebody_has_waited_longest() -> None:
    league = League(chat(slots=1, replicas=1), "a", "b", "c")
    first = league.arrive("a")
    league.flow()
    for name in ("c", "b"):
        league.arrive(name)
        league.flow(0.5)
    league.finish("a", first)
    league.flow()
    assert league.share() == [0, 0, 1]


def test_whoever_begins_to_wait_asks_for_slots_at_once_and_who_waits_behind_does_not() -> None:
    league = League(chat(slots=1, replicas=1), "a")
    fleet = league.sides["a"].fleet
    assert not only(fleet.handle(arrival(1), league.now), AskForSlots)
    assert only(fleet.handle(arrival(2), league.now), AskForSlots) == [AskForSlots("chat")]
    assert not only(fleet.handle(arrival(3), league.now), AskForSlots)
