"""Views: what a pool's own numbers come to."""

from dataclasses import replace

from toque.model.decision import Decision, Desired, Observation
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
