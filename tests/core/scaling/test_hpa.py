"""Kubernetes' HorizontalPodAutoscaler, with numbers worked out by hand from its documented rule."""

import pytest

from tests.core.scaling.sight import pool, sight
from toque.core.hpa_rule import HpaRule
from toque.core.scaling.hpa import Hpa


def test_hpa_wants_the_ceiling_of_load_over_target() -> None:
    policy = Hpa(pool(target=4.0))
    assert policy.desire(sight(ready=2, load=15.0), 0.0).replicas == 4, "ceil(2 x 7.5 / 4)"


def test_hpa_without_a_target_uses_seven_tenths_of_the_slots() -> None:
    assert Hpa(pool(slots=10)).desire(sight(ready=1, load=14.0), 0.0).replicas == 2
    assert Hpa(pool(slots=1)).desire(sight(ready=1, load=2.0), 0.0).replicas == 2, "but not less than one"


@pytest.mark.parametrize(("load", "wanted"), [(36.0, 10), (44.0, 10), (44.1, 12), (35.9, 9)])
def test_hpa_leaves_alone_what_is_within_ten_percent(load: float, wanted: int) -> None:
    rule = HpaRule(4.0)
    assert rule.by_replicas(load, ready=10, starting=0, now=0.0) == max(wanted, 10), "and going down waits 300 s"
    assert HpaRule(4.0)._wanted_by_replicas(load, 10, 0) == wanted


def test_hpa_at_most_doubles_or_adds_four() -> None:
    assert HpaRule(1.0).by_replicas(100.0, ready=1, starting=0, now=0.0) == 5
    assert HpaRule(1.0).by_replicas(100.0, ready=6, starting=0, now=0.0) == 12


def test_hpa_counts_replicas_that_are_not_ready_as_unloaded_when_it_would_go_up() -> None:
    rule = HpaRule(4.0)
    # 2 ready with 12: ratio 1.5; with 1 more unloaded 12 / (3 x 4) = 1: no change. With 20: ceil(20 / 4) = 5
    assert rule.by_replicas(12.0, ready=2, starting=1, now=0.0) == 3
    assert rule.by_replicas(20.0, ready=2, starting=1, now=15.0) == 5
    assert HpaRule(4.0).by_replicas(9.0, ready=2, starting=8, now=0.0) == 10, "turned round: 9 / 40 is below one"


def test_hpa_goes_down_by_the_ready_ones_alone() -> None:
    assert HpaRule(4.0)._wanted_by_replicas(4.0, ready=2, starting=1) == 1


def test_hpa_goes_down_only_to_the_highest_wish_of_five_minutes() -> None:
    rule = HpaRule(1.0)
    wishes = [(0.0, 10.0), (15.0, 3.0), (150.0, 6.0), (285.0, 3.0), (300.0, 3.0), (435.0, 3.0), (450.0, 3.0)]
    told = [rule.by_replicas(load, ready=10, starting=0, now=now) for now, load in wishes]
    assert told == [10, 10, 10, 10, 6, 6, 3]


def test_an_old_wish_that_was_held_to_a_step_does_not_raise_anything_later() -> None:
    rule = HpaRule(1.0)
    assert rule.by_replicas(100.0, ready=1, starting=0, now=0.0) == 5, "100 were wanted, 4 are added"
    assert rule.by_replicas(5.0, ready=5, starting=0, now=15.0) == 5, "the window holds back falls only"


def test_hpa_without_a_ready_replica_has_no_metric_and_at_zero_it_sleeps() -> None:
    assert HpaRule(1.0).by_replicas(50.0, ready=0, starting=3, now=0.0) == 3
    assert HpaRule(1.0).by_replicas(50.0, ready=0, starting=0, now=0.0) == 0
    assert HpaRule(1.0).by_replicas(0.0, ready=1, starting=0, now=0.0) == 1, "never from one to zero"
