"""Stories of large requests: bounded by their tokens, passed by short ones, and never forgotten."""

from dataclasses import replace

from tests.core.story import Story, arrival, refusals, routes, warm
from toque.core.snapshot import view_fleet
from toque.model.messages import Abandoned, Finished, ReplicaReady, SpecChanged
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds

LARGE, SHORT = 32_000, 100


def pool(slots: int = 4, bound: int = 40_000, replicas: int = 1) -> PoolSpec:
    queue = QueueSpec(wait_s_max=1000.0, large_tokens_max=bound, length_max=6)
    return PoolSpec("chat", slots=slots, queue=queue, replicas=ReplicaBounds(replicas, replicas))


def waiting(story: Story) -> int:
    return view_fleet(story.fleet, story.now).pools[0].waiting_interactive


def test_o09_large_requests_leave_slots_to_short_ones_and_these_pass_them() -> None:
    story = warm(pool())
    large = [arrival(number, prompt=LARGE) for number in range(1, 5)]
    assert routes(story.at(1.0, *large)) == [(1, 1), (2, 1)], "40,000 tokens are passed by the second"
    assert waiting(story) == 2
    shorts = [arrival(number, prompt=SHORT) for number in range(11, 14)]
    assert routes(story.at(2.0, *shorts)) == [(11, 1), (12, 1)], "past two large ones that wait"
    assert routes(story.at(3.0, Finished(11))) == [(13, 1)]
    assert routes(story.at(4.0, Finished(1))) == [(3, 1)], "one large one for another"
    assert waiting(story) == 1
    story.check_replay()


def test_however_large_one_may_always_enter() -> None:
    story = warm(pool(slots=1, bound=100))
    assert routes(story.at(1.0, arrival(1, prompt=LARGE), arrival(2, prompt=LARGE), arrival(3, prompt=10))) == [(1, 1)]
    assert routes(story.at(2.0, Finished(1))) == [(2, 1)], "who came first is let in before the slot is given away"


def test_large_ones_that_are_held_back_count_for_the_line_and_give_up_in_time() -> None:
    story = warm(pool())
    story.at(1.0, *(arrival(number, prompt=LARGE, deadline=50.0) for number in range(1, 9)))
    assert waiting(story) == 6
    assert refusals(story.at(2.0, arrival(9, prompt=LARGE))) == [(9, "queue_full")]
    assert routes(story.at(3.0, Abandoned(8))) == []
    assert waiting(story) == 5
    assert refusals(story.until(50.0)) == [(number, "deadline_exceeded") for number in range(3, 8)]


def test_more_replicas_let_more_large_ones_in() -> None:
    story = Story(pool(replicas=2))
    story.until(0.0)
    story.ready(0.0, 1)
    story.at(1.0, *(arrival(number, prompt=LARGE) for number in range(1, 5)))
    assert routes(story.ready(2.0, 2)) == [(3, 2)], "64,000 of 80,000 were in use"
    assert waiting(story) == 1


def test_another_bound_holds_for_those_who_wait() -> None:
    story = warm(pool())
    story.at(1.0, *(arrival(number, prompt=LARGE) for number in range(1, 5)))
    spec = replace(pool(), queue=replace(pool().queue, large_tokens_max=0))
    assert routes(story.at(2.0, SpecChanged(FleetSpec((spec,), Resources())))) == [(3, 1), (4, 1)]


def test_large_ones_wait_for_the_first_replica_like_all_others() -> None:
    story = Story(pool(replicas=1))
    story.until(0.0)
    story.at(0.5, *(arrival(number, prompt=LARGE) for number in range(1, 5)))
    assert waiting(story) == 4
    assert routes(story.at(1.0, ReplicaReady(1))) == [(1, 1), (2, 1)]


def test_a_shorter_line_sends_away_those_first_who_are_held_back() -> None:
    story = warm(pool(slots=3))
    story.at(1.0, *(arrival(number, prompt=LARGE) for number in range(1, 5)), arrival(5), arrival(6))
    assert waiting(story) == 3
    spec = replace(pool(slots=3), queue=replace(pool().queue, length_max=1))
    assert refusals(story.at(2.0, SpecChanged(FleetSpec((spec,), Resources())))) == [
        (4, "queue_full"),
        (3, "queue_full"),
    ]
