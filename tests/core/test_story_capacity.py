"""Stories of one machine and several models: what fits, who gives way, and who comes first."""

from tests.core.story import GIB, Story, arrival, decisions, only, refusals, routes, starts, stops
from toque.core.snapshot import view_fleet
from toque.model.condition import FailureCause
from toque.model.messages import (
    Finished,
    RecordDecision,
    Refuse,
    ReplicaFailed,
    ReplicaReady,
    ReplicaStopped,
    StopReplica,
)
from toque.model.resources import Resources
from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec


def model(
    name: str,
    memory_gib: int,
    minimum_warm: int = 0,
    maximum: int = 1,
    idle_to_zero_s: float = 1e6,
    cold_wait_s_max: float = 120.0,
) -> PoolSpec:
    return PoolSpec(
        name,
        replicas=ReplicaBounds(minimum_warm, maximum, idle_to_zero_s=idle_to_zero_s),
        queue=QueueSpec(cold_wait_s_max=cold_wait_s_max),
        footprint=Resources(memory_gib * GIB, cores=1.0),
    )


def machine(memory_gib: int, *pools: PoolSpec, cores: float = 64.0) -> Story:
    return Story(*pools, capacity=Resources(memory_gib * GIB, cores))


def shortage(story: Story, name: str) -> str:
    return story.fleet.pools[name].supply.shortage


def test_what_does_not_fit_is_not_started_and_the_reason_is_told() -> None:
    story = machine(10, model("a", 4, minimum_warm=3, maximum=3))
    assert starts(story.until(0.0)) == [1, 2]
    assert shortage(story, "a") == "needs 4096 MiB of memory, 2048 MiB left"
    (record,) = only(story.until(2.0), RecordDecision)
    assert record.decision.shortage == shortage(story, "a")
    assert record.decision.after == 2


def test_cores_are_part_of_the_budget() -> None:
    story = machine(100, model("a", 1, minimum_warm=3, maximum=3), cores=2.0)
    assert starts(story.until(0.0)) == [1, 2]
    assert shortage(story, "a") == "needs 1 core, 0 left"


def test_a_request_for_a_model_that_never_fits_is_told_so() -> None:
    story = machine(10, model("a", 20))
    effects = story.at(0.0, arrival(1, "a"))
    assert starts(effects) == []
    assert refusals(effects) == [(1, "no_capacity")], "waiting would not help"
    story.until(1000.0)
    assert story.fleet.next_wake() == float("inf"), "nothing can change"


def test_what_a_replica_really_takes_corrects_the_budget() -> None:
    story = machine(10, model("a", 8, minimum_warm=2, maximum=2))
    assert starts(story.until(0.0)) == [1]
    effects = story.at(5.0, ReplicaReady(1, Resources(3 * GIB)))
    assert starts(effects) == [2], "measured 3 GiB: two fit"
    assert story.fleet.budget.used == Resources(6 * GIB, cores=2.0)


def test_a_replica_larger_than_estimated_leaves_no_room_for_another() -> None:
    story = machine(10, model("a", 4, minimum_warm=1), model("b", 4))
    assert starts(story.until(0.0)) == [1]
    story.at(5.0, ReplicaReady(1, Resources(12 * GIB)))
    assert starts(story.at(6.0, arrival(1, "b"))) == []
    assert "0 MiB left" in shortage(story, "b")
    assert story.fleet.budget.free.memory_bytes == 0


def test_gpu_memory_is_measured_too() -> None:
    spec = PoolSpec("a", footprint=Resources(1 * GIB, 1.0, 8 * GIB))
    story = Story(
        spec, PoolSpec("b", footprint=Resources(gpu_memory_bytes=8 * GIB)), capacity=Resources(GIB, 4, 9 * GIB)
    )
    assert starts(story.until(0.0)) == [1]
    assert shortage(story, "b") == "needs 8192 MiB of GPU memory, 1024 MiB left"
    assert starts(story.at(1.0, ReplicaReady(1, Resources(gpu_memory_bytes=1 * GIB)))) == [2]
    assert story.fleet.pools["a"].supply.footprint == Resources(1 * GIB, 1.0, 1 * GIB)


# ---- swapping --------------------------------------------------------------------------------------------------------


def loaded(*others: PoolSpec) -> Story:
    """A machine of 10 GiB on which model `a` (8 GiB, may be empty) has one idle replica: number 1."""
    story = machine(10, model("a", 8), *others)
    story.at(0.0, arrival(1, "a"))
    story.ready(1.0, 1)
    story.at(2.0, Finished(1))
    return story


def test_an_idle_replica_makes_room_for_another_models_first() -> None:
    story = loaded(model("b", 8))
    effects = story.at(3.0, arrival(2, "b"))
    assert only(effects, StopReplica) == [StopReplica(1, "b needs the room")]
    assert starts(effects) == []
    assert starts(story.at(3.5, ReplicaStopped(1))) == [2]
    assert routes(story.ready(5.0, 2)) == [(2, 2)]


def test_a_busy_replica_makes_room_when_it_has_finished() -> None:
    story = loaded(model("b", 8))
    story.at(3.0, arrival(2, "a"))
    assert stops(story.at(4.0, arrival(3, "b"))) == []
    assert stops(story.at(10.0, Finished(2))) == [1]
    assert starts(story.at(10.1, ReplicaStopped(1))) == [2]


def test_two_models_take_turns_on_a_machine_that_holds_one() -> None:
    story = Story(model("a", 8), model("b", 8), capacity=Resources(10 * GIB, 64.0), loads_in_s=1.0)
    served_by = []
    for turn in range(6):
        name = "ab"[turn % 2]
        story.at(turn * 10.0, arrival(turn, name))
        effects = story.until(turn * 10.0 + 9.0)
        served_by += routes(effects)
        story.at(turn * 10.0 + 9.0, Finished(turn))
    assert [ticket for ticket, _ in served_by] == [0, 1, 2, 3, 4, 5]
    assert refusals(story.until(200.0)) == []


def test_a_swapped_model_is_not_brought_back_by_the_memory_of_its_load() -> None:
    story = Story(model("a", 8), model("b", 8), capacity=Resources(10 * GIB, 64.0), loads_in_s=1.0)
    story.at(0.0, *(arrival(ticket, "a") for ticket in range(1, 10)))
    story.until(30.0)
    story.at(30.0, *(Finished(ticket) for ticket in range(1, 10)))
    story.at(30.5, arrival(20, "b"))
    assert routes(story.until(32.0)) == [(20, 2)]
    story.at(32.0, Finished(20))
    assert (starts(story.until(500.0)), story.ledger.replicas) == ([], {2: "ready"})


def test_minimum_warm_never_gives_way() -> None:
    story = machine(10, model("a", 8, minimum_warm=1), model("b", 8))
    story.ready(1.0, 1)
    effects = story.at(3.0, arrival(2, "b"))
    assert (stops(effects), refusals(effects)) == ([], [(2, "no_capacity")])


def test_whoever_may_get_room_later_waits_for_it() -> None:
    story = loaded(model("b", 8, cold_wait_s_max=20.0))
    story.at(3.0, arrival(2, "a"))
    assert refusals(story.at(4.0, arrival(3, "b"))) == []
    assert refusals(story.until(24.0)) == [(3, "no_capacity")]


def test_nothing_is_stopped_where_that_would_not_be_enough() -> None:
    story = loaded(model("b", 11))
    assert stops(story.at(3.0, arrival(2, "b"))) == []


def test_nothing_is_stopped_in_vain_while_the_budget_is_overdrawn() -> None:
    story = machine(10, model("a", 4), model("c", 4, minimum_warm=1), model("b", 5))
    assert starts(story.at(0.0, arrival(1, "a"))) == [2]
    story.at(1.0, ReplicaReady(1, Resources(9 * GIB)), ReplicaReady(2))  # c takes more than anybody thought
    story.at(2.0, Finished(1))
    assert stops(story.at(3.0, arrival(2, "b"))) == [], "9 of 10 GiB stay taken, whatever becomes of a"


def test_room_that_comes_anyway_stops_nobody_else() -> None:
    story = machine(12, model("a", 4), model("b", 4), model("c", 4), model("d", 4))
    story.at(0.0, arrival(1, "a"), arrival(2, "b"), arrival(3, "c"))
    story.ready(1.0, 1, 2, 3)
    story.at(2.0, Finished(1))
    story.at(3.0, Finished(2))
    story.at(4.0, Finished(3))
    assert stops(story.at(5.0, arrival(4, "d"))) == [1], "the one idle longest"
    assert stops(story.at(5.1, arrival(5, "d"))) == []
    assert starts(story.at(5.2, ReplicaStopped(1))) == [4]


def test_several_small_replicas_make_room_for_a_large_one() -> None:
    story = machine(10, model("a", 2, maximum=2), model("b", 3), model("c", 8))
    story.at(0.0, arrival(1, "a"), arrival(2, "b"))
    story.ready(1.0, 1, 2)
    story.at(2.0, Finished(1), Finished(2))
    assert stops(story.at(3.0, arrival(3, "c"))) == [1, 2]
    assert starts(story.at(4.0, ReplicaStopped(1))) == []
    assert starts(story.at(4.5, ReplicaStopped(2))) == [3]


def test_replicas_of_others_are_not_ours_to_stop() -> None:
    hosted = PoolSpec("hosted", footprint=Resources(8 * GIB), elastic=False)
    story = machine(10, hosted, model("b", 8))
    story.ready(1.0, 1)
    assert stops(story.at(2.0, arrival(1, "b"))) == []


def test_a_pool_whose_requests_wait_gives_nothing_away() -> None:
    story = machine(10, model("a", 5, maximum=2), model("b", 5))
    story.at(0.0, arrival(1, "a"))
    story.ready(1.0, 1)
    story.at(2.0, arrival(2, "a"))
    assert stops(story.at(3.0, arrival(3, "b"))) == []


def test_a_pool_that_merely_wants_more_gets_what_anothers_policy_would_give_up() -> None:
    taken = Resources(3 * GIB)
    short_window = ScalingSpec("concurrency", 1.0, stable_window_s=6.0)
    calm = PoolSpec("calm", replicas=ReplicaBounds(1, 2, scale_down_delay_s=1e6), footprint=taken, scaling=short_window)
    keen = PoolSpec("keen", replicas=ReplicaBounds(1, 2), footprint=taken, scaling=ScalingSpec("fixed", 2.0))
    story = Story(calm, keen, capacity=Resources(10 * GIB, 64.0), loads_in_s=0.1)
    story.at(1.0, *(arrival(ticket, "calm") for ticket in range(4)))
    assert decisions(story.until(4.0)) == [(1, 2)]
    assert decisions(story.until(10.0)) == [], "two replicas are wanted by both"
    assert "needs 3072 MiB" in shortage(story, "keen")
    story.at(10.0, *(Finished(ticket) for ticket in (0, 1, 2, 3, 0, 1, 2, 3)))
    effects = story.until(30.0)
    assert [stop.reason for stop in only(effects, StopReplica)] == ["keen needs the room"]
    assert story.fleet.pools["keen"].supply.roster.ready == 2
    assert story.fleet.pools["calm"].supply.roster.ready == 1, "the last one stays"


def test_freed_room_goes_to_the_pool_that_waited_longest() -> None:
    story = loaded(model("b", 8), model("c", 8))
    story.at(2.0, arrival(9, "a"))
    story.at(2.0, arrival(1, "c"))
    story.at(3.0, arrival(2, "b"))
    story.at(4.0, ReplicaFailed(1, FailureCause.EXITED, "it died"))
    (started,) = starts(story.journal[-1][2])
    assert routes(story.ready(5.0, started)) == [(1, started)]


def test_a_pool_that_gave_way_does_not_take_the_room_back_first() -> None:
    story = loaded(model("b", 8))
    assert stops(story.at(3.0, arrival(2, "b"))) == [1]
    story.at(3.1, arrival(3, "a"))
    (started,) = starts(story.at(3.5, ReplicaStopped(1)))
    assert routes(story.ready(5.0, started)) == [(2, started)], "b asked first"


def test_a_pool_that_can_never_fit_does_not_stand_in_the_way_of_others() -> None:
    story = loaded(model("huge", 100, minimum_warm=1), model("b", 8))
    assert stops(story.at(3.0, arrival(2, "b"))) == [1]


def test_refused_callers_of_a_model_without_room_are_told_a_time() -> None:
    story = machine(10, model("a", 20))
    (refusal,) = only(story.at(0.0, arrival(1, "a")), Refuse)
    assert refusal.retry_after_s >= 1.0


def test_the_view_tells_what_is_taken_and_what_is_missing() -> None:
    story = machine(10, model("a", 8, minimum_warm=1), model("b", 8))
    story.ready(1.0, 1)
    story.at(2.0, arrival(1, "b"))
    view = view_fleet(story.fleet, 2.0)
    assert view.free == Resources(2 * GIB, cores=63.0)
    assert [(pool.name, pool.condition) for pool in view.pools] == [("a", "ok"), ("b", "no_capacity")]
    assert view.pools[1].reason == "needs 8192 MiB of memory, 2048 MiB left"
