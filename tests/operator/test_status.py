"""What a ModelPool's status tells of its pool, and when that is news."""

from dataclasses import replace
from typing import Any

from toque.model.decision import Decision, Desired, Observation
from toque.model.resources import Resources
from toque.model.spec import ColdStart
from toque.model.view import LEAVING, PoolView, ReplicaState, ReplicaView
from toque.operator.roll import Entry
from toque.operator.status import TOLD_MAX, is_same, status_of

ENTRY = Entry("chat", "u1", 3, good=None, complaint="")
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
SEEN = Observation(0, 0, 1, 0, 0, 0.0, 0.0, 0.0, 4, 0.0, 0.0)


def replica(number: int, state: ReplicaState = ReplicaState.READY) -> ReplicaView:
    return ReplicaView(number, state, 0, 4, 0.0, None, None, Resources(), ColdStart())


def view(*replicas: ReplicaView, **more: Any) -> PoolView:
    cold = ColdStart(0.5, 1.25, 0.25)
    made = PoolView("chat", "ok", "", replicas, 0, 0, 0, 4, 1, 4, cold, None, wanted=len(replicas))
    return replace(made, **more)


def decided(wanted: int, allowed: int, why: str = "2.10 requests in flight", bound: str = "as wanted") -> Decision:
    return Decision("chat", SEEN, Desired(wanted, why), Desired(allowed, bound), 1, allowed)


def told(pool: PoolView | None, entry: Entry = ENTRY, moment: str = NOW) -> dict[str, Any]:
    return dict(status_of(entry, pool, "toque", moment))


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_a_pool_in_calm_is_ready_and_nothing_else() -> None:
    status = told(view(replica(1), replica(2), decision=decided(2, 2)))
    assert (status["ready"], status["desired"], status["replicas"]) == (2, 2, 2)
    assert status["reason"] == "2.10 requests in flight"
    assert status["observedGeneration"] == 3
    assert status["coldStart"] == {"spawnS": 0.5, "loadS": 1.25, "warmUpS": 0.25, "totalS": 2.0}
    assert "toque.dev/pool=chat" in status["selector"].split(",")
    assert conditions(status) == {
        "Ready": ("True", "AllReady"),
        "Progressing": ("False", "Settled"),
        "Degraded": ("False", "AsItShould"),
    }


def test_a_pool_that_grows_is_progressing_and_not_ready() -> None:
    status = told(view(replica(1), replica(2, ReplicaState.LOADING)))
    assert conditions(status)["Ready"] == ("False", "TooFew")
    assert conditions(status)["Progressing"] == ("True", "ReplicasChange")
    assert status["replicas"] == 2


def test_replicas_that_are_going_are_not_counted() -> None:
    status = told(view(replica(1), replica(2, ReplicaState.DRAINING), wanted=1))
    assert status["replicas"] == 1
    assert conditions(status)["Ready"][0] == "True"
    assert conditions(status)["Progressing"][0] == "True"


def test_a_pool_scaled_to_zero_is_ready_for_whoever_asks() -> None:
    assert conditions(told(view(condition="cold")))["Ready"] == ("True", "ScaledToZero")


def test_trouble_is_told_with_its_reason() -> None:
    for condition, reason in (("crash_loop", "CrashLoop"), ("no_capacity", "NoCapacity"), ("unhealthy", "Unhealthy")):
        status = told(view(condition=condition, reason="it dies", wanted=1))
        assert conditions(status)["Degraded"] == ("True", reason)
        assert status["conditions"][2]["message"] == "it dies"
    waiting = view(replica(1, ReplicaState.STARTING), condition="loading", reason="no machine has room")
    assert conditions(told(waiting))["Degraded"] == ("True", "Delayed")
    assert conditions(told(view(replica(1, ReplicaState.LOADING), condition="loading")))["Degraded"][0] == "False"


def test_a_spec_that_was_refused_is_told_whatever_its_replicas_do() -> None:
    refused = replace(ENTRY, complaint="spec.slots must be a whole number")
    status = told(None, refused)
    assert conditions(status)["Degraded"] == ("True", "InvalidSpec")
    assert conditions(status)["Ready"] == ("False", "NotServed")
    assert (status["ready"], status["desired"]) == (0, 0)


def test_the_reason_says_what_the_bounds_made_of_a_wish() -> None:
    status = told(view(replica(1), decision=decided(0, 1, "nothing to do", "not below 1")))
    assert status["reason"] == "not below 1 (its policy says 0: nothing to do)"
    woken = told(view(replica(1), replica(2), decision=decided(0, 0)))
    assert woken["reason"] == "as many as before"
    assert told(view(replica(1)))["reason"] == "the least that is kept warm"
    leaving = told(view(condition=LEAVING))
    assert leaving["reason"] == "it is being deleted"
    assert conditions(leaving)["Progressing"] == ("True", "Leaving")


def test_a_condition_keeps_the_time_since_when_it_holds() -> None:
    before = told(view(replica(1)))
    kept = replace(ENTRY, status=before)
    after = told(view(replica(1), replica(2, ReplicaState.LOADING)), kept, LATER)
    since = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert since == {"Ready": LATER, "Progressing": LATER, "Degraded": NOW}


def test_other_words_and_measurements_are_no_news() -> None:
    before = told(view(replica(1), decision=decided(1, 1, "0.91 requests in flight")))
    after = told(
        view(replica(1), decision=decided(1, 1, "0.94 requests in flight"), cold_start=ColdStart(9.0)), moment=LATER
    )
    assert is_same(before, after)
    assert not is_same(before, told(view(replica(1), replica(2))))
    assert not is_same({}, before)
    refused = replace(ENTRY, complaint="one"), replace(ENTRY, complaint="two")
    assert not is_same(told(None, refused[0]), told(None, refused[1]))


def test_what_is_told_is_short() -> None:
    status = told(view(condition="crash_loop", reason="x" * 5000, wanted=1))
    assert len(status["conditions"][2]["message"]) == TOLD_MAX
