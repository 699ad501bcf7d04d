"""Ray Serve's autoscaling, with numbers worked out by hand from its documented defaults."""

from tests.core.scaling.sight import pool, sight
from toque.core.scaling.ray_serve import RayServe


def test_ray_serve_goes_up_when_the_wish_held_for_thirty_seconds() -> None:
    policy = RayServe(pool())
    told = [policy.desire(sight(ready=1, load=5.0), now).replicas for now in (0.0, 10.0, 20.0, 30.0)]
    assert told == [1, 1, 1, 3], "ceil(5 / 2)"


def test_ray_serve_begins_the_delay_anew_after_acting() -> None:
    policy = RayServe(pool(target=1.0))
    for now in (0.0, 10.0, 20.0, 30.0):
        policy.desire(sight(ready=1, load=2.0), now)
    told = [policy.desire(sight(ready=1, starting=1, load=4.0), now).replicas for now in (40.0, 50.0, 60.0)]
    assert told == [2, 2, 4]


def test_ray_serve_begins_anew_when_the_wish_turns() -> None:
    policy = RayServe(pool())
    loads = [(0.0, 5.0), (10.0, 5.0), (20.0, 2.0), (30.0, 5.0), (40.0, 5.0), (50.0, 5.0), (60.0, 5.0)]
    assert [policy.desire(sight(ready=1, load=load), now).replicas for now, load in loads] == [1, 1, 1, 1, 1, 1, 3]


def test_ray_serve_goes_down_after_ten_minutes() -> None:
    policy = RayServe(pool())
    told = [policy.desire(sight(ready=4, load=2.0), float(now)).replicas for now in range(0, 610, 10)]
    assert told == [4] * 60 + [1]


def test_ray_serve_has_no_metric_while_nothing_runs() -> None:
    policy = RayServe(pool())
    assert policy.desire(sight(ready=0, load=9.0, waiting=9), 0.0).replicas == 1
    assert policy.desire(sight(ready=0, starting=3, load=99.0), 10.0).replicas == 3
    assert policy.desire(sight(ready=0), 20.0).replicas == 0


def test_ray_serve_wants_what_it_decided_until_the_guard_has_let_it_happen() -> None:
    policy = RayServe(pool())
    told = [policy.desire(sight(ready=3, load=0.0), now).replicas for now in (0.0, 590.0, 600.0, 610.0)]
    assert told == [3, 3, 0, 0], "the guard's own delay goes by meanwhile"
    assert policy.holds_back
    assert policy.desire(sight(ready=2, load=0.0), 620.0).replicas == 0, "it takes them away one by one"
    assert policy.desire(sight(ready=2, load=2.0), 630.0).replicas == 1, "but no more than is wanted by now"


def test_ray_serve_is_held_to_what_it_decided_on_the_way_up() -> None:
    policy = RayServe(pool(target=1.0))
    told = [
        policy.desire(sight(ready=1, load=load), now).replicas for now, load in ((0.0, 3.0), (30.0, 3.0), (40.0, 5.0))
    ]
    assert told == [1, 3, 3], "there was no room yet"
    assert policy.desire(sight(ready=1, load=2.0), 50.0).replicas == 2
