"""Views: what a pool's own numbers come to."""

from dataclasses import replace

from toque.model.decision import Decision, Desired, Observation
from toque.model.load import Load
from toque.model.resources import Resources
from toque.model.spec import ColdStart
from toque.model.view import PoolView, ReplicaState, ReplicaView

_COMING = ReplicaView(1, ReplicaState.LOADING, 0, 2, 0.0, None, None, Resources(), ColdStart())
_GOING = replace(_COMING, id=2, state=ReplicaState.DRAINING)
_POOL = PoolView("chat", "ok", "", (_COMING, _GOING), 0, 0, 0, 2, 0, 4, ColdStart(), None)
_SEEN = Observation(0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 2, 0.0, 0.0)


def test_before_its_first_decision_a_pool_is_advised_to_stay_as_it_is() -> None:
    assert _POOL.advised == 1


def test_advice_is_the_policys_number_within_the_bounds_whatever_was_allowed() -> None:
    for wanted, advised in ((0, 0), (3, 3), (9, 4)):
        decision = Decision("chat", _SEEN, Desired(wanted, ""), Desired(1, ""), 1, 1)
        assert replace(_POOL, decision=decision).advised == advised


def test_a_pool_is_asked_while_anybody_has_a_request() -> None:
    assert not _POOL.is_asked
    assert all(replace(_POOL, **{name: 1}).is_asked for name in ("in_flight", "waiting_interactive", "waiting_batch"))


def test_the_load_of_a_pool_is_of_the_replicas_that_are_ready() -> None:
    ready = replace(_COMING, id=3, state=ReplicaState.READY)
    busy = replace(_POOL, replicas=(_COMING, _GOING, ready), in_flight=1, waiting_interactive=2, waiting_batch=3)
    assert (busy.load, busy.load.cache_ratio) == (Load(1, 5, 2), 0.5)
    assert replace(busy, in_flight=3).load.cache_ratio == 1.0, "one that drains finishes what it has"


def test_a_pool_asleep_is_not_full_for_a_request_wakes_it() -> None:
    assert replace(_POOL, replicas=()).load.cache_ratio == 0.0
