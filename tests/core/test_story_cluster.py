"""Stories of replicas that run in a cluster: starts that wait, Pods that are taken away, and those that a predecessor left."""

import pytest

from tests.core.story import Story, arrival, only, refusals, starts, warm
from toque.core.snapshot import view_fleet
from toque.model.cluster import ReplicaDelayed, ReplicasAdopted
from toque.model.condition import FailureCause
from toque.model.messages import ReplicaFailed, ReplicaReady, StartReplica
from toque.model.spec import PoolSpec, ReplicaBounds


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
