"""Stories of the end of the service, and of what people see of a fleet."""

from tests.core.story import Story, arrival, only, refusals, routes, starts, warm
from toque.core.snapshot import view_fleet
from toque.model.condition import FailureCause
from toque.model.messages import DrainOrdered, Failed, Finished, Refuse, ReplicaFailed, ReplicaLoaded, ReplicaSpawned
from toque.model.resources import Resources
from toque.model.spec import ColdStart, PoolSpec, ReplicaBounds, ScalingSpec
from toque.model.ticket import FailureKind
from toque.model.view import PoolView, ReplicaState

CHAT = PoolSpec("chat", slots=1, footprint=Resources(100, 1.0))


def seen(story: Story) -> PoolView:
    return view_fleet(story.fleet, story.now).pools[0]


def condition(story: Story) -> tuple[str, str]:
    return seen(story).condition, seen(story).reason


def test_l01_a_draining_service_finishes_what_it_has_and_takes_nothing_new() -> None:
    story = warm(CHAT)
    story.at(1.0, arrival(1), arrival(2))
    assert story.at(2.0, DrainOrdered()) == []
    (refusal,) = only(story.at(3.0, arrival(3)), Refuse)
    assert refusal.reason.value == "draining"
    assert 1.0 <= refusal.retry_after_s <= 1.2
    assert routes(story.at(4.0, Finished(1))) == [(2, 1)], "who waits was taken in already"
    assert story.at(5.0, Finished(2)) == []


def test_a_draining_service_still_retries() -> None:
    story = warm(PoolSpec("chat", replicas=ReplicaBounds(2, 2)))
    story.at(1.0, arrival(1))
    story.at(2.0, DrainOrdered())
    assert routes(story.at(3.0, Failed(1, FailureKind.LOST))) == [(1, 2)]


def test_an_unknown_model_is_not_found_on_a_draining_service_too() -> None:
    story = warm(CHAT)
    story.at(1.0, DrainOrdered())
    assert refusals(story.at(2.0, arrival(1, "nobody"))) == [(1, "model_not_found")]


def test_a_cold_pool_says_so() -> None:
    story = Story(PoolSpec("chat", replicas=ReplicaBounds(0, 1)))
    assert condition(story) == ("cold", "")


def test_a_pool_tells_the_way_of_its_replica_up() -> None:
    story = Story(CHAT)
    assert starts(story.until(0.0)) == [1]
    states = []
    for now, event in enumerate((ReplicaSpawned(1), ReplicaLoaded(1)), start=1):
        states.append(seen(story).replicas[0].state)
        story.at(float(now), event)
    states.append(seen(story).replicas[0].state)
    assert states == [ReplicaState.STARTING, ReplicaState.LOADING, ReplicaState.WARMING]
    assert condition(story) == ("loading", "")
    story.ready(4.0, 1)
    assert condition(story) == ("ok", "")


def test_a_pool_whose_replica_died_tells_why_it_restarts() -> None:
    story = warm(CHAT)
    story.at(10.0, ReplicaFailed(1, FailureCause.EXITED, "it exited with status 1"))
    assert condition(story) == ("restarting", "it exited with status 1")
    story.until(10.5)
    assert condition(story) == ("loading", "it exited with status 1")
    story.ready(11.0, 2)
    assert condition(story) == ("ok", "")


def test_a_crash_loop_is_told_with_the_last_reason() -> None:
    story = Story(CHAT)
    story.at(1.0, ReplicaFailed(1, FailureCause.INVALID_MODEL, "model.gguf is truncated"))
    assert condition(story) == ("crash_loop", "model.gguf is truncated")


def test_a_draining_service_says_so() -> None:
    story = warm(CHAT)
    story.at(1.0, DrainOrdered())
    assert condition(story) == ("draining", "")
    assert view_fleet(story.fleet, 1.0).draining


def test_a_view_shows_a_pool_in_numbers() -> None:
    story = warm(PoolSpec("chat", slots=2, replicas=ReplicaBounds(1, 3), cold_start=ColdStart(load_s=9.0)))
    story.at(5.0, *(arrival(ticket, batch=ticket > 3) for ticket in range(1, 6)))
    story.until(6.0)
    view = seen(story)
    assert (view.in_flight, view.waiting_interactive, view.waiting_batch, view.slots) == (2, 1, 2, 2)
    assert (view.minimum_warm, view.maximum) == (1, 3)
    assert view.decision is not None
    assert view.decision.desired.replicas == 0
    (replica,) = view.replicas
    assert (replica.started_at, replica.ready_at, replica.idle_since) == (0.0, 0.0, None)
    assert replica.cold_start == view.cold_start == ColdStart()


def test_an_unready_replica_has_no_cold_start_yet() -> None:
    story = Story(CHAT)
    story.until(0.0)
    assert seen(story).replicas[0].cold_start == ColdStart()
    assert seen(story).replicas[0].ready_at is None


def test_a_view_is_a_copy() -> None:
    story = Story(PoolSpec("chat", scaling=ScalingSpec("fixed")))
    before = seen(story)
    story.until(0.0)
    assert before.replicas == ()
