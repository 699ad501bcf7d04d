"""Stories of replicas that run in a cluster: starts that wait, Pods that are taken away, and those that a predecessor left."""

import pytest

from tests.core.story import ROOMY, Story, arrival, only, refusals, starts, warm
from toque.core.snapshot import view_fleet
from toque.model.cluster import ReplicaDelayed, ReplicasAdopted, ScalingFrozen
from toque.model.condition import FailureCause
from toque.model.messages import ReplicaFailed, ReplicaReady, SpecChanged, StartReplica, StopReplica
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds


def chat(minimum_warm: int = 1, maximum: int = 4) -> PoolSpec:
    return PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=minimum_warm, maximum=maximum))


def condition(story: Story) -> tuple[str, str]:
    (pool,) = view_fleet(story.fleet, story.now).pools
    return pool.condition, pool.reason


def test_what_a_start_waits_for_is_told_until_it_is_over() -> None:
    story = Story(chat())
    story.at(0.0)
    story.at(1.0, ReplicaDelayed(1, FailureCause.UNSCHEDULABLE, "no machine has room for its Pod"))
    assert condition(story) == ("loading", "no machine has room for its Pod")
    story.at(2.0, ReplicaReady(1))
    assert condition(story) == ("ok", "")


@pytest.mark.parametrize("cause", [FailureCause.UNSCHEDULABLE, FailureCause.QUOTA])
def test_a_start_without_room_refuses_those_who_wait_and_is_no_crash_loop(cause: FailureCause) -> None:
    story = Story(chat())
    story.at(0.0, arrival(1))
    failed = ReplicaFailed(1, cause, "the quota is used up")
    assert refusals(story.at(1.0, failed)) == [(1, "no_capacity")]
    for replica_id in range(2, 8):
        (started,) = starts(story.until(story.now + 30.0))
        assert started == replica_id
        story.at(story.now, ReplicaFailed(replica_id, cause, "the quota is used up"))
    assert condition(story) == ("restarting", "the quota is used up")


def test_a_missing_image_is_a_crash_loop_at_once() -> None:
    story = Story(chat())
    story.at(0.0)
    story.at(1.0, ReplicaFailed(1, FailureCause.IMAGE_MISSING, "the image chat:9 cannot be pulled"))
    assert condition(story) == ("crash_loop", "the image chat:9 cannot be pulled")


def test_a_replica_that_was_taken_away_is_replaced_in_the_same_step() -> None:
    story = warm(chat())
    effects = story.at(5.0, ReplicaFailed(1, FailureCause.REMOVED, "Kubernetes took its Pod away"))
    assert only(effects, StartReplica) == [StartReplica("chat", 2)]


def test_as_many_replicas_are_wanted_as_a_predecessor_left_within_the_bounds() -> None:
    story = Story(chat())
    story.at(0.0)
    assert len(starts(story.at(0.1, ReplicasAdopted("chat", 3)))) == 2
    assert len(starts(story.at(0.2, ReplicasAdopted("chat", 9)))) == 1
    assert not starts(story.at(0.3, ReplicasAdopted("chat", 1)))
    assert not starts(story.at(0.4, ReplicasAdopted("nobody's", 5)))


def test_while_scaling_is_frozen_nothing_is_started_or_ended_and_both_are_made_up_for() -> None:
    story = warm(chat(minimum_warm=2))
    story.at(1.0, ScalingFrozen("the API server cannot be reached"))
    assert condition(story) == ("ok", "scaling is frozen: the API server cannot be reached")
    story.at(2.0, ReplicaFailed(1, FailureCause.UNHEALTHY, "did not answer"))
    assert not [effect for effect in story.until(20.0) if isinstance(effect, StartReplica | StopReplica)]
    assert starts(story.at(20.0, ScalingFrozen(""))) == [3]
    assert condition(story) == ("ok", "did not answer")


def test_a_frozen_pool_that_wants_fewer_keeps_what_it_has_and_says_why() -> None:
    story = warm(chat(minimum_warm=2))
    story.at(1.0, ScalingFrozen("the API server cannot be reached"))
    story.at(2.0, SpecChanged(FleetSpec((chat(minimum_warm=1),), ROOMY)))
    story.until(300.0)
    (pool,) = view_fleet(story.fleet, story.now).pools
    assert pool.decision is not None
    assert (len(pool.replicas), pool.decision.shortage) == (2, "the API server cannot be reached")
    assert len(only(story.at(300.0, ScalingFrozen("")), StopReplica)) == 1


def test_an_empty_pool_that_is_frozen_keeps_who_waits_and_starts_for_them_afterwards() -> None:
    story = Story(chat(minimum_warm=0))
    story.at(0.0, ScalingFrozen("the API server cannot be reached"))
    assert not refusals(story.at(1.0, arrival(1)))
    assert condition(story) == ("cold", "scaling is frozen: the API server cannot be reached")
    assert starts(story.at(5.0, ScalingFrozen(""))) == [1]


def test_a_model_that_comes_while_scaling_is_frozen_waits_too() -> None:
    story = Story(chat())
    story.at(0.0, ScalingFrozen("the API server cannot be reached"))
    other = PoolSpec("other", replicas=ReplicaBounds(minimum_warm=1))
    assert not starts(story.at(1.0, SpecChanged(FleetSpec((chat(), other), ROOMY))))
    assert starts(story.at(2.0, ScalingFrozen("")))
