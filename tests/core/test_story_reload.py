"""Stories of a reload: what changes, what stays, and who makes way for whom."""

from dataclasses import replace

import pytest

from tests.core.story import GIB, Story, arrival, only, refusals, routes, starts, stops, warm
from toque.model.condition import FailureCause
from toque.model.messages import (
    Effect,
    Failed,
    Finished,
    ReplicaFailed,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
    SpecChanged,
    StopReplica,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, RestartSpec, ScalingSpec
from toque.model.ticket import FailureKind

CHAT = PoolSpec("chat", slots=2)
OTHER = PoolSpec("other", slots=2)


def reload(story: Story, now: float, *pools: PoolSpec, renewed: tuple[str, ...] = ()) -> list[Effect]:
    return story.at(now, SpecChanged(FleetSpec(pools, story.spec.capacity), renewed))


def reasons(effects: list[Effect]) -> list[tuple[int, str]]:
    return [(stop.replica_id, stop.reason) for stop in only(effects, StopReplica)]


@pytest.fixture
def story() -> Story:
    """Replica 1 of chat and replica 2 of other are ready."""
    return warm(CHAT, OTHER)


def test_settings_that_did_not_change_change_nothing(story: Story) -> None:
    assert reload(story, 1.0, CHAT, OTHER) == []
    assert routes(story.at(2.0, arrival(1), arrival(2, "other"))) == [(1, 1), (2, 2)]
    story.check_replay()


def test_a_new_model_gets_its_warm_replica_at_once(story: Story) -> None:
    assert starts(reload(story, 1.0, CHAT, OTHER, PoolSpec("third"))) == [3]
    story.ready(2.0, 3)
    assert routes(story.at(3.0, arrival(1, "third"))) == [(1, 3)]
    story.check_replay()


def test_a_removed_model_finishes_its_requests_refuses_new_ones_and_is_then_unloaded(story: Story) -> None:
    story.at(1.0, *(arrival(n) for n in (1, 2, 3)))
    effects = reload(story, 2.0, OTHER)
    assert refusals(effects) == [(3, "model_not_found")]
    assert stops(effects) == []
    assert refusals(story.at(3.0, arrival(4))) == [(4, "model_not_found")]
    assert story.fleet.leaving == {"chat"}
    assert stops(story.at(4.0, Finished(1))) == []
    assert reasons(story.at(5.0, Finished(2))) == [(1, "drained")]
    story.at(6.0, ReplicaStopped(1))
    assert list(story.fleet.pools) == ["other"]
    story.check_replay()


def test_a_removed_model_whose_replica_dies_is_forgotten_with_its_last_request(story: Story) -> None:
    story.at(1.0, arrival(1))
    reload(story, 2.0, OTHER)
    assert starts(story.at(3.0, ReplicaFailed(1, FailureCause.EXITED, "was killed"))) == []
    assert story.fleet.leaving == {"chat"}
    assert refusals(story.at(4.0, Failed(1, FailureKind.LOST))) == [(1, "upstream_lost")]
    assert list(story.fleet.pools) == ["other"]
    story.check_replay()


def test_a_removed_model_ends_with_its_grace(story: Story) -> None:
    story.at(1.0, arrival(1))
    reload(story, 2.0, OTHER)
    assert stops(story.until(31.9)) == []
    assert reasons(story.until(32.0)) == [(1, "its grace is over")]


def test_a_removed_model_that_has_no_replica_is_gone_at_once() -> None:
    story = Story(PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=0)), OTHER)
    story.until(0.0)
    reload(story, 1.0, OTHER)
    assert list(story.fleet.pools) == ["other"]


def test_a_replica_of_a_removed_model_that_still_loads_is_stopped() -> None:
    story = Story(CHAT)
    assert starts(story.until(0.0)) == [1]
    assert reasons(reload(story, 1.0)) == [(1, "the model is no longer in the settings")]
    story.at(2.0, ReplicaSpawned(1), ReplicaReady(1), ReplicaStopped(1))
    assert list(story.fleet.pools) == []


def test_a_model_that_comes_back_before_it_is_gone_starts_anew(story: Story) -> None:
    story.at(1.0, arrival(1))
    reload(story, 2.0, OTHER)
    assert starts(reload(story, 3.0, CHAT, OTHER)) == [3]
    assert routes(story.at(4.0, arrival(2))) == []
    assert routes(story.ready(5.0, 3)) == [(2, 3)]
    assert reasons(story.at(6.0, Finished(1))) == [(1, "drained")]
    story.at(7.0, ReplicaStopped(1))
    assert list(story.fleet.pools) == ["chat", "other"]
    story.check_replay()


def test_a_changed_model_starts_its_new_replica_before_the_old_one_drains(story: Story) -> None:
    story.at(1.0, arrival(1))
    effects = reload(story, 2.0, CHAT, OTHER, renewed=("chat",))
    assert (starts(effects), stops(effects)) == ([3], [])
    assert routes(story.at(3.0, arrival(2))) == [(2, 1)]
    assert stops(story.ready(4.0, 3)) == []
    assert routes(story.at(5.0, arrival(3))) == [(3, 3)]
    assert stops(story.at(6.0, Finished(1))) == []
    assert reasons(story.at(7.0, Finished(2))) == [(1, "drained")]
    story.check_replay()


def test_other_slots_need_other_replicas_without_being_told(story: Story) -> None:
    assert starts(reload(story, 1.0, replace(CHAT, slots=4), OTHER)) == [3]
    assert reasons(story.ready(2.0, 3)) == [(1, "the settings of its model changed")]
    assert len(routes(story.at(3.0, *(arrival(n) for n in range(1, 6))))) == 4
    story.check_replay()


def test_a_replica_that_loads_the_old_model_is_stopped_for_one_that_loads_the_new() -> None:
    story = Story(CHAT)
    story.until(0.0)
    effects = reload(story, 1.0, CHAT, renewed=("chat",))
    assert (starts(effects), stops(effects)) == ([2], [1])
    story.at(2.0, ReplicaStopped(1))
    assert stops(story.ready(3.0, 2)) == []


def test_where_nothing_fits_in_beside_it_the_old_replica_goes_first() -> None:
    pool = replace(CHAT, footprint=Resources(memory_bytes=3 * GIB))
    story = warm(pool, capacity=Resources(memory_bytes=4 * GIB))
    story.at(1.0, arrival(1))
    effects = reload(story, 2.0, pool, renewed=("chat",))
    assert (starts(effects), stops(effects)) == ([], [])
    assert routes(story.at(3.0, arrival(2))) == []
    assert stops(story.at(4.0, Finished(1))) == [1]
    assert starts(story.at(5.0, ReplicaStopped(1))) == [2]
    assert routes(story.ready(6.0, 2)) == [(2, 2)]
    story.check_replay()


def test_two_replicas_without_room_beside_them_are_replaced_one_after_the_other() -> None:
    pool = replace(CHAT, footprint=Resources(memory_bytes=2 * GIB), replicas=ReplicaBounds(minimum_warm=2, maximum=2))
    story = warm(pool, capacity=Resources(memory_bytes=4 * GIB))
    assert stops(reload(story, 1.0, pool, renewed=("chat",))) == [1]
    assert starts(story.at(2.0, ReplicaStopped(1))) == [3]
    assert stops(story.ready(3.0, 3)) == [2]
    assert starts(story.at(4.0, ReplicaStopped(2))) == [4]
    assert stops(story.ready(5.0, 4)) == []
    story.check_replay()


def test_a_changed_model_that_never_comes_up_leaves_the_old_one_serving(story: Story) -> None:
    reload(story, 1.0, CHAT, OTHER, renewed=("chat",))
    story.at(2.0, ReplicaFailed(3, FailureCause.INVALID_MODEL, "is no model"))
    assert routes(story.at(3.0, arrival(1))) == [(1, 1)]
    assert starts(story.until(33.0)) == [4]
    assert reasons(story.ready(34.0, 4)) == []
    assert reasons(story.at(35.0, Finished(1))) == [(1, "drained")]


def test_a_back_off_of_the_old_model_does_not_hold_up_the_new_one() -> None:
    story = Story(replace(CHAT, restart=RestartSpec(backoff_s_min=20.0)))
    story.until(0.0)
    story.at(1.0, ReplicaFailed(1, FailureCause.EXITED, "died"))
    assert starts(story.until(5.0)) == []
    assert starts(reload(story, 5.0, CHAT, renewed=("chat",))) == [2]


def test_nothing_is_scaled_while_two_versions_are_there(story: Story) -> None:
    grown = replace(CHAT, replicas=ReplicaBounds(minimum_warm=1, maximum=4))
    reload(story, 1.0, grown, OTHER, renewed=("chat",))
    story.at(2.0, *(arrival(n) for n in range(1, 12)))
    assert starts(story.until(20.0)) == []
    story.ready(21.0, 3)
    for ticket in (1, 2):
        story.at(22.0, Finished(ticket))
    story.at(23.0, ReplicaStopped(1))
    assert len(starts(story.until(40.0))) == 3


def test_a_higher_minimum_is_met_and_a_lower_maximum_kept_at_once(story: Story) -> None:
    wide = replace(CHAT, replicas=ReplicaBounds(minimum_warm=3, maximum=3))
    assert starts(reload(story, 1.0, wide, OTHER)) == [3, 4]
    story.ready(2.0, 3)
    effects = reload(story, 3.0, CHAT, OTHER)
    assert reasons(effects) == [
        (4, "the settings allow fewer replicas"),
        (3, "the settings allow fewer replicas"),
    ]
    story.check_replay()


def test_a_shorter_line_refuses_the_last_ones(story: Story) -> None:
    story.at(1.0, *(arrival(n) for n in range(1, 6)))
    effects = reload(story, 2.0, replace(CHAT, queue=QueueSpec(length_max=1)), OTHER)
    assert refusals(effects) == [(5, "queue_full"), (4, "queue_full")]
    assert routes(story.at(3.0, Finished(1))) == [(3, 1)]


def test_another_policy_and_its_windows_hold_from_now_on(story: Story) -> None:
    fixed = replace(
        CHAT,
        replicas=ReplicaBounds(minimum_warm=1, maximum=3),
        scaling=ScalingSpec("fixed", target=3.0, interval_s=2.0, stable_window_s=90.0),
        restart=RestartSpec(crash_loop_failures=2),
    )
    assert starts(reload(story, 10.0, fixed, OTHER)) == []
    assert starts(story.until(12.0)) == [3, 4]


def test_more_capacity_starts_what_did_not_fit() -> None:
    pool = replace(CHAT, footprint=Resources(memory_bytes=3 * GIB), replicas=ReplicaBounds(minimum_warm=2, maximum=2))
    story = warm(pool, capacity=Resources(memory_bytes=4 * GIB))
    assert starts(story.at(1.0, SpecChanged(FleetSpec((pool,), Resources(memory_bytes=8 * GIB))))) == [2]


def test_a_shorter_grace_ends_before_a_longer_one_that_began_earlier() -> None:
    def chat(maximum: int, drain_s_max: float) -> PoolSpec:
        return replace(CHAT, slots=1, replicas=ReplicaBounds(1, maximum, drain_s_max=drain_s_max))

    story = Story(replace(chat(3, 30.0), replicas=ReplicaBounds(3, 3, drain_s_max=30.0)))
    story.ready(0.0, *starts(story.until(0.0)))
    story.at(1.0, arrival(1), arrival(2), arrival(3))
    reload(story, 2.0, chat(2, 30.0))
    reload(story, 3.0, chat(1, 5.0))
    assert reasons(story.until(31.0)) == [(2, "its grace is over")], "at 8 s"
    assert reasons(story.until(32.0)) == [(3, "its grace is over")]
    story.check_replay()


def test_a_hosted_model_takes_a_new_address_without_a_gap() -> None:
    hosted = replace(CHAT, elastic=False)
    story = warm(hosted)
    story.at(1.0, arrival(1))
    assert starts(reload(story, 2.0, hosted, renewed=("chat",))) == [2]
    assert stops(story.ready(2.0, 2)) == []
    assert routes(story.at(3.0, arrival(2))) == [(2, 2)]
    assert stops(story.at(4.0, Finished(1))) == [1]
