"""Stories of a canary: a model that is tried with a share of another's requests, and whose failures nobody notices."""

from tests.core.story import ROOMY, Story, arrival, moves, refusals, routes, warm
from toque.core.snapshot import view_fleet
from toque.model.condition import FailureCause
from toque.model.fallback_spec import CanarySpec
from toque.model.messages import Abandoned, Failed, Finished, ReplicaFailed, SpecChanged
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, RetrySpec
from toque.model.ticket import FailureKind

NO_RETRY = RetrySpec(attempts_max=0)
ONE = ReplicaBounds(minimum_warm=1, maximum=1)


def chat(share: float = 0.5, model: str = "next", failures_max: int = 2) -> PoolSpec:
    canary = CanarySpec(model, share, failures_max, failures_ratio_max=0.5)
    return PoolSpec("chat", slots=8, replicas=ONE, retry=NO_RETRY, canary=canary)


NEXT = PoolSpec("next", slots=8, replicas=ONE, retry=NO_RETRY)


def tried(story: Story, *numbers: int) -> list[int]:
    """Which of these requests try the canary; all are answered."""
    went = []
    for number in numbers:
        effects = story.at(story.now + 0.1, arrival(number))
        went += [number for _, pool, cause in moves(effects) if (pool, cause) == ("next", "canary")]
        story.at(story.now + 0.1, Finished(number))
    return went


def told(story: Story) -> str:
    return view_fleet(story.fleet, story.now).pools[0].trial


def test_exactly_its_share_of_the_requests_tries_a_canary() -> None:
    story = warm(chat(share=0.1), NEXT)
    assert tried(story, *range(1, 31)) == [10, 20, 30]
    assert told(story) == "next is tried with 10% of the requests: 3 answered, 0 failed"


def test_what_the_canary_fails_before_its_first_byte_is_answered_by_the_model_that_was_asked() -> None:
    story = warm(chat(share=1.0), NEXT)
    assert routes(story.at(1.0, arrival(1))) == [(1, 2)]
    effects = story.at(2.0, Failed(1, FailureKind.ERROR))
    assert moves(effects) == [(1, "chat", "failure")]
    assert routes(effects) == [(1, 1)]
    story.at(3.0, Finished(1))
    assert told(story) == "next is tried with 100% of the requests: 0 answered, 1 failed"


def test_a_canary_that_fails_too_many_is_tried_no_more_until_the_settings_change() -> None:
    story = warm(chat(share=1.0), NEXT)
    for number in (1, 2):
        story.at(float(number), arrival(number))
        story.at(number + 0.5, Failed(number, FailureKind.ERROR, began=number == 2))
    story.at(3.0, Finished(1))
    assert told(story) == ("the trial of next is over (0 answered, 2 failed): it failed 2 of 2, lastly by error")
    assert tried(story, 3, 4) == []
    story.at(story.now + 1.0, SpecChanged(FleetSpec((chat(share=0.9), NEXT), ROOMY)))
    assert tried(story, 5, 6) == [6]


def test_another_version_of_the_canary_is_tried_anew_whatever_the_former_one_did() -> None:
    story = warm(chat(share=1.0), NEXT)
    for number in (1, 2):
        story.at(float(number), arrival(number))
        story.at(number + 0.5, Failed(number, FailureKind.ERROR))
    assert told(story).startswith("the trial of next is over")
    story.at(4.0, SpecChanged(FleetSpec((chat(share=1.0), NEXT), ROOMY), renewed=("chat",)))
    assert told(story).startswith("the trial of next is over"), "it is the same canary"
    story.at(5.0, SpecChanged(FleetSpec((chat(share=1.0), NEXT), ROOMY), renewed=("next",)))
    assert told(story) == "next is tried with 100% of the requests: 0 answered, 0 failed"


def test_a_canary_that_may_fail_some_goes_on_and_one_whose_client_left_says_nothing() -> None:
    story = warm(chat(share=1.0), NEXT)
    assert tried(story, 1, 2, 3) == [1, 2, 3]
    story.at(5.0, arrival(4), arrival(5), arrival(6))
    story.at(6.0, Failed(4, FailureKind.ERROR), Failed(5, FailureKind.ERROR), Abandoned(6))
    assert told(story) == "next is tried with 100% of the requests: 3 answered, 2 failed"
    assert not story.fleet.trials.live


def test_a_canary_without_a_free_slot_or_a_ready_replica_takes_nothing_and_nobody_waits_for_it() -> None:
    story = warm(chat(share=1.0), PoolSpec("next", replicas=ONE, retry=NO_RETRY))
    assert routes(story.at(1.0, arrival(1), arrival(2))) == [(1, 2), (2, 1)]
    story.at(2.0, ReplicaFailed(2, FailureCause.EXITED, "it exited"), Failed(1, FailureKind.LOST))
    assert tried(story, 3, 4) == []


def test_a_canary_that_is_not_there_is_none() -> None:
    story = warm(chat(share=1.0, model="gone"))
    assert routes(story.at(1.0, arrival(1))) == [(1, 1)]
    itself = warm(chat(share=1.0, model="chat"))
    assert routes(itself.at(1.0, arrival(1))) == [(1, 1)]
    other = warm(chat(share=1.0, model=""), NEXT)
    assert routes(other.at(1.0, arrival(1))) == [(1, 1)]
    assert told(other) == ""


def test_a_refusal_by_time_is_no_failure_of_the_canary() -> None:
    story = warm(chat(share=1.0), NEXT)
    story.at(1.0, arrival(1, deadline=1.5))
    assert refusals(story.at(2.0, Failed(1, FailureKind.LOST))) == [(1, "upstream_lost")]
    assert told(story).endswith("0 answered, 1 failed")
