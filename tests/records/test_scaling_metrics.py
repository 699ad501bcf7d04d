"""What Prometheus sees of scaling: who wants how many, and what holds it back."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from tests.advice.fleet import Kitchen, wants
from toque.model.decision import Desired
from toque.model.view import PoolView
from toque.records.exposition import ToqueCollector
from toque.records.metrics import Metrics

_CHAT = wants("chat", 5, maximum=4)
_DECISION = _CHAT.decision
assert _DECISION is not None


def _allowed(replicas: int, shortage: str = "") -> PoolView:
    assert _DECISION is not None
    return replace(_CHAT, decision=replace(_DECISION, allowed=Desired(replicas, ""), shortage=shortage))


@pytest.mark.parametrize(
    ("pool", "by"),
    [
        (_allowed(5), "nothing"),
        (_allowed(2), "guard"),
        (replace(_allowed(2), target=2), "target"),
        (_allowed(5, "no room"), "capacity"),
        (replace(_CHAT, decision=None), "nothing"),
    ],
)
def test_one_of_the_holds_is_named(pool: PoolView, by: str) -> None:
    registry = CollectorRegistry()
    registry.register(ToqueCollector(Metrics(), Kitchen(pool).view))
    values = {
        one: registry.get_sample_value("toque_scaling_held_by", {"model": "chat", "by": one})
        for one in ("nothing", "guard", "target", "capacity")
    }
    assert values == {one: float(one == by) for one in values}


def test_what_is_wanted_allowed_and_set_by_others_are_three_numbers() -> None:
    registry = CollectorRegistry()
    registry.register(ToqueCollector(Metrics(), Kitchen(replace(_allowed(2), target=2)).view))
    names = ("toque_desired_replicas", "toque_allowed_replicas", "toque_target_replicas")
    assert [registry.get_sample_value(name, {"model": "chat"}) for name in names] == [4.0, 2.0, 2.0]
