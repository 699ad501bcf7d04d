"""Knative's pod autoscaler, with numbers worked out by hand from its documented windows and rates."""

from tests.core.scaling.sight import pool, sight
from toque.core.scaling.kpa import Kpa


def test_kpa_follows_the_stable_window_while_it_is_calm() -> None:
    policy = Kpa(pool(slots=10))  # 70 % of 10
    assert policy.desire(sight(ready=2, load=20.0), 0.0).replicas == 3


def test_kpa_panics_when_the_short_window_wants_twice_what_is_ready() -> None:
    policy = Kpa(pool(target=1.0))
    told = policy.desire(sight(ready=2, load=2.0, burst=3.5), 0.0)
    assert told.replicas == 4
    assert "panic" in told.reason
    assert "stable" in Kpa(pool(target=1.0)).desire(sight(ready=2, load=2.0, burst=3.0), 0.0).reason, "1.5 x is none"


def test_kpa_in_panic_never_wants_fewer_than_before() -> None:
    policy = Kpa(pool(target=1.0))
    assert policy.desire(sight(ready=1, load=1.0, burst=6.0), 0.0).replicas == 6
    assert policy.desire(sight(ready=6, load=2.0, burst=1.0), 2.0).replicas == 6
    assert policy.desire(sight(ready=6, load=8.0, burst=7.0), 4.0).replicas == 8, "but more where more is asked"


def test_kpa_leaves_panic_after_a_whole_stable_window_without_its_condition() -> None:
    policy = Kpa(pool(target=1.0))
    policy.desire(sight(ready=1, load=1.0, burst=6.0), 0.0)
    assert policy.desire(sight(ready=6, load=5.0, burst=5.0), 60.0).replicas == 6
    assert policy.desire(sight(ready=6, load=5.0, burst=5.0), 62.0).replicas == 5
    assert policy.desire(sight(ready=1, load=1.0, burst=3.0), 64.0).replicas == 3, "a new panic has a peak of its own"


def test_kpa_at_most_halves_and_reaches_zero_from_one() -> None:
    assert Kpa(pool(target=1.0)).desire(sight(ready=9, load=1.0), 0.0).replicas == 4
    assert Kpa(pool(target=1.0)).desire(sight(ready=1), 0.0).replicas == 0


def test_kpa_from_zero_counts_as_one_and_grows_a_thousandfold_at_most() -> None:
    assert Kpa(pool(target=0.001)).desire(sight(ready=0, load=5.0), 0.0).replicas == 1000
