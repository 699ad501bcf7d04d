"""Laws of the small parts: lifecycle table, router, guard, retry budget, forecast, budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.story import arrival, warm
from toque.core.breaker import Breaker
from toque.core.budget import Budget
from toque.core.forecast import RETRY_AFTER_S_MAX, spread
from toque.core.guard import Guard
from toque.core.invariants import check_fleet
from toque.core.journey import Journey
from toque.core.lifecycle import COMING, LIVE, TABLE, Step, follow
from toque.core.replica import Replica
from toque.core.retry import NOT_SENT_EXTRA, RetryBudget
from toque.core.roster import Roster
from toque.core.routing.least_loaded import LeastLoaded
from toque.model.decision import Desired, Observation
from toque.model.resources import Resources
from toque.model.spec import PoolSpec, ReplicaBounds, RetrySpec, ScalingSpec
from toque.model.ticket import FailureKind, Ticket
from toque.model.trust_spec import BreakerSpec
from toque.model.view import ReplicaState

# ---- lifecycle -------------------------------------------------------------------------------------------------------


@given(steps=st.lists(st.sampled_from(Step), max_size=12))
def test_every_life_leads_from_start_to_stop_and_never_back_to_loading(steps: list[Step]) -> None:
    state, lived = ReplicaState.STARTING, [ReplicaState.STARTING]
    for step in steps:
        after = follow(state, step)
        if after is not None:
            state = after
            lived.append(state)
    if ReplicaState.STOPPING in lived:
        assert lived.index(ReplicaState.STOPPING) == len(lived) - 1, "nothing follows the order to stop"
    ready = next((i for i, s in enumerate(lived) if s not in COMING), len(lived))
    assert not COMING & set(lived[ready:]), "a replica loads once"


def test_every_state_but_the_last_has_a_way_out() -> None:
    assert {state for state, _ in TABLE} == set(ReplicaState) - {ReplicaState.STOPPING}
    assert set(TABLE.values()) == set(ReplicaState) - {ReplicaState.STARTING}
    assert {step for _, step in TABLE} == set(Step)
    assert COMING < LIVE


# ---- router ----------------------------------------------------------------------------------------------------------


@given(changes=st.lists(st.tuples(st.integers(0, 7), st.sampled_from("+-+-xr"), st.integers(-1, 7)), max_size=80))
@settings(max_examples=200)
def test_least_loaded_agrees_with_brute_force(changes: list[tuple[int, str, int]]) -> None:
    router = LeastLoaded()
    replicas = {
        i: Replica(i, slots=3, footprint=Resources(), breaker=Breaker(BreakerSpec()), now=0.0) for i in range(8)
    }
    known: set[int] = set()
    for i, what, avoid in changes:
        replica = replicas[i]
        if what == "x":
            router.remove(replica)
            known.discard(i)
            continue
        if what == "r":
            replica.state = ReplicaState.DOUBTED if replica.state is ReplicaState.READY else ReplicaState.READY
        else:
            replica.in_flight = min(3, max(0, replica.in_flight + (1 if what == "+" else -1)))
        router.place(replica)
        known.add(i)
        free = [r for r in (replicas[k] for k in known) if r.state is ReplicaState.READY and r.in_flight < 3]
        others = [r for r in free if r.id != avoid] or free
        chosen = router.choose(avoid)
        if chosen is None:
            assert not free
        else:
            assert chosen in others
            assert chosen.in_flight == min(r.in_flight for r in others)


# ---- guard -----------------------------------------------------------------------------------------------------------


def observation(live: int) -> Observation:
    return Observation(
        in_flight=0,
        waiting=0,
        ready=live,
        starting=0,
        draining=0,
        demand_stable=0.0,
        demand_burst=0.0,
        arrivals_per_s=0.0,
        slots=1,
        cold_start_s=0.0,
        waiting_s=0.0,
    )


@given(
    minimum_warm=st.integers(0, 3),
    extra=st.integers(0, 6),
    steps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    delay_s=st.sampled_from([0.0, 4.0, 30.0]),
    wants=st.lists(st.integers(-2, 20), min_size=1, max_size=60),
)
@settings(max_examples=200)
def test_whatever_a_policy_wants_the_guard_keeps_its_bounds(
    minimum_warm: int, extra: int, steps: tuple[int, int], delay_s: float, wants: list[int]
) -> None:
    bounds = ReplicaBounds(
        minimum_warm,
        max(1, minimum_warm + extra),
        idle_to_zero_s=20.0,
        scale_down_delay_s=delay_s,
        step_up_max=steps[0],
        step_down_max=steps[1],
    )
    guard = Guard(PoolSpec("chat", replicas=bounds, scaling=ScalingSpec(stable_window_s=10.0)), 0.0)
    live = minimum_warm
    bounded: list[tuple[float, int]] = []
    for i, want in enumerate(wants):
        now = i * 2.0
        allowed = guard.allow(Desired(want, "why"), observation(live), now).replicas
        bounded.append((now, guard.bound(want)))
        assert min(live, minimum_warm) <= allowed <= max(live, bounds.maximum)
        assert allowed <= live + max(steps[0], live)
        if allowed < live:
            assert now >= 10.0, "one window has filled"
            assert live - allowed <= steps[1] or live == 1
            recent = [value for at, value in bounded if at > now - delay_s]
            assert live == 1 or all(value < live for value in recent), "demand stayed low"
            assert allowed > 0 or now >= 20.0, "idle long enough"
        live = allowed


# ---- retry budget ----------------------------------------------------------------------------------------------------


@given(
    attempts_max=st.integers(0, 3),
    budget_min=st.integers(0, 4),
    steps=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([*FailureKind, None]), st.integers(0, 40)), max_size=80
    ),
)
def test_retries_never_exceed_what_the_budget_allows(
    attempts_max: int, budget_min: int, steps: list[tuple[int, FailureKind | None, int]]
) -> None:
    roster = Roster(PoolSpec("chat"), LeastLoaded())
    roster.ready = 2
    replica = Replica(1, slots=3, footprint=Resources(), breaker=Breaker(BreakerSpec()), now=0.0)
    budget = RetryBudget(RetrySpec(attempts_max, budget_ratio=0.2, budget_min=budget_min), roster)
    reached = 0
    journeys = {i: Journey(Ticket(i, "chat", 1e9), 0.0) for i in range(10)}
    for arrivals, (i, kind, in_flight) in enumerate(steps):
        journey, before = journeys[i], budget.live
        roster.in_flight = in_flight
        if kind is None:
            budget.ended(journey)
            journeys[i] = Journey(Ticket(i, "chat", 1e9), 0.0)
        elif budget.spend(journey, kind, replica, arrivals):
            reached += kind is not FailureKind.NOT_SENT
            assert reached <= budget_min + arrivals / 5
            assert kind not in {FailureKind.TIMEOUT, FailureKind.INVALID}
            assert budget.live == before or budget.live <= max(budget_min, in_flight // 5)
            assert journey.retries <= attempts_max + (NOT_SENT_EXTRA if attempts_max else 0)
        assert budget.live == sum(journey.retries > 0 for journey in journeys.values())


# ---- forecast and budget ---------------------------------------------------------------------------------------------


@given(seconds=st.floats(0, 1e9), ticket_id=st.integers(0, 2**63))
def test_a_spread_stays_within_a_fifth_and_within_a_minute(seconds: float, ticket_id: int) -> None:
    told = spread(seconds, ticket_id)
    assert 1.0 <= told <= RETRY_AFTER_S_MAX
    if 2.0 <= seconds <= 50.0:
        assert 0.8 * seconds <= told <= 1.2 * seconds


def test_spreads_of_neighbours_differ() -> None:
    assert len({round(spread(30.0, ticket)) for ticket in range(40)}) > 8


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 50), st.booleans()), max_size=40))
def test_the_budget_knows_what_all_replicas_take(steps: list[tuple[int, int, bool]]) -> None:
    budget, taken = Budget(Resources(100, 8.0, 10)), dict[int, int]()
    for replica_id, memory_bytes, is_taken in steps:
        if is_taken:
            budget.take(replica_id, Resources(memory_bytes, 1.0))
            taken[replica_id] = memory_bytes
        else:
            budget.release(replica_id)
            taken.pop(replica_id, None)
        assert budget.used.memory_bytes == sum(taken.values())
        assert budget.used.cores == len(taken)
        assert budget.free.memory_bytes == max(0, 100 - sum(taken.values()))
        assert bool(budget.shortage(Resources(60))) == (budget.free.memory_bytes < 60)


# ---- invariants ------------------------------------------------------------------------------------------------------


def test_a_broken_count_is_noticed() -> None:
    story = warm(PoolSpec("chat"))
    story.at(1.0, arrival(1))
    story.fleet.pools["chat"].supply.roster.in_flight += 1
    with pytest.raises(AssertionError, match="requests in flight are miscounted"):
        check_fleet(story.fleet, 1.0)


def test_a_slot_that_was_lost_is_noticed() -> None:
    story = warm(PoolSpec("chat", slots=2))
    story.at(1.0, arrival(1))
    story.fleet.pools["chat"].supply.roster.replicas[1].in_flight = 2
    with pytest.raises(AssertionError, match="replica 1: 1 journeys, 2 slots taken"):
        check_fleet(story.fleet, 1.0)
