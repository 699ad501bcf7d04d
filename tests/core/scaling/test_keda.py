"""KEDA over a queue, with numbers worked out by hand from its documentation and the HPA's."""

from tests.core.scaling.sight import pool, sight
from toque.core.scaling.keda import Keda


def test_keda_counts_waiting_and_in_flight_and_divides_by_the_target() -> None:
    policy = Keda(pool(target=5.0))
    assert policy.desire(sight(ready=2, load=16.0, waiting=9), 0.0).replicas == 4, "ceil(16 / 5)"


def test_keda_without_a_target_takes_the_slots() -> None:
    assert Keda(pool(slots=8)).desire(sight(ready=1, load=17.0), 0.0).replicas == 3


def test_keda_does_not_care_who_is_ready() -> None:
    assert Keda(pool(target=5.0)).desire(sight(ready=0, starting=2, load=16.0), 0.0).replicas == 4


def test_keda_leaves_alone_what_is_within_ten_percent() -> None:
    assert Keda(pool(target=10.0)).desire(sight(ready=10, load=110.0), 0.0).replicas == 10
    assert Keda(pool(target=10.0)).desire(sight(ready=10, load=111.0), 0.0).replicas == 12


def test_keda_keeps_one_replica_through_the_cooldown_and_then_none() -> None:
    policy = Keda(pool(target=5.0))
    assert policy.desire(sight(ready=1, load=1.0), 0.0).replicas == 1
    assert [policy.desire(sight(ready=1), now).replicas for now in (15.0, 285.0, 300.0, 315.0)] == [1, 1, 0, 0]
    assert policy.desire(sight(ready=0, load=1.0, waiting=1), 330.0).replicas == 1, "a message wakes it"


def test_keda_counts_the_cooldown_from_its_own_start() -> None:
    policy = Keda(pool())
    assert [policy.desire(sight(ready=1), now).replicas for now in (100.0, 390.0, 400.0)] == [1, 1, 0]
