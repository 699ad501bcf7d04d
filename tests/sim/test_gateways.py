"""Several gateways in the simulator: together they serve as one would, and whatever dies, no replica is overfilled."""

import random

import pytest

from toque.core.given import held_of
from toque.core.invariants import check_fleet
from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds
from toque.sim.alliance import Play, dealt, poisson
from toque.sim.gateways import World
from toque.sim.histogram import Histogram
from toque.sim.slots import SlotsProfile

PROFILE = SlotsProfile(slots=4, base_s=0.05, decode_token_s=0.02, decode_token_s_per_busy_slot=0.005)
"""About two seconds a request in a full replica."""


def pool(minimum: int = 6, maximum: int = 0, slots: int = 4) -> PoolSpec:
    return PoolSpec(
        "chat",
        slots=slots,
        replicas=ReplicaBounds(minimum_warm=minimum, maximum=maximum or minimum, idle_to_zero_s=30.0),
        queue=QueueSpec(length_max=2000, wait_s_max=300.0, cold_wait_s_max=300.0),
    )


def world(names: str, spec: PoolSpec, *, is_checked: bool = True) -> World:
    play = Play(spec, tuple(names), PROFILE.replica, cold_start_s=1.0)
    return World(play, check_fleet if is_checked else lambda fleet, now: None)


def serve(it: World, rate_per_s: float, until: float, weights: dict[str, float] | None = None) -> None:
    parts = weights or dict.fromkeys(it.gateways, 1.0)
    it.run(dealt(poisson(rate_per_s, until, (0, 50)), parts), until)


def waits(it: World) -> tuple[float, float]:
    """The median and the 99th percentile of all queue waits."""
    total = Histogram()
    for felt in it.felt.values():
        total.merge(felt.queue_wait)
    return total.quantile(0.5), total.quantile(0.99)


def held(it: World) -> int:
    """Slots that gateways have."""
    return sum(slots for gateway in it.gateways.values() for slots in held_of(gateway.fleet.pools).values())


@pytest.mark.parametrize("weights", [(1, 1, 1), (90, 5, 5)], ids=["even", "90-5-5"])
def test_three_gateways_wait_hardly_longer_than_one(weights: tuple[int, ...]) -> None:
    one, three = world("a", pool(), is_checked=False), world("abc", pool(), is_checked=False)
    serve(one, 11.0, 120.0)
    serve(three, 11.0, 120.0, dict(zip("abc", weights, strict=True)))
    (_, alone), (_, together) = waits(one), waits(three)
    assert together < alone + 0.5
    assert three.utilization > one.utilization - 0.03
    assert not sum(felt.lost + felt.refused for felt in three.felt.values())


def test_people_at_a_quiet_gateway_wait_as_those_at_the_busy_one_when_all_are_too_many() -> None:
    it = world("abc", pool(minimum=2), is_checked=False)
    serve(it, 4.1, 200.0, {"a": 90, "b": 5, "c": 5})
    busy, *quiet = (felt.queue_wait.mean_s for felt in it.felt.values())
    assert busy > 1.0
    for mean_s in quiet:
        assert 0.5 * busy < mean_s < 1.5 * busy


def test_with_fewer_slots_than_gateways_everybody_is_served_in_time() -> None:
    it = world("abcdefgh", pool(minimum=1, slots=4))
    serve(it, 1.2, 120.0)
    assert min(felt.served for felt in it.felt.values()) > 5
    assert max(felt.queue_wait.quantile(1.0) for felt in it.felt.values()) < 20.0


def test_the_fleet_scales_with_the_load_of_all_gateways_from_zero_and_back() -> None:
    it = world("abc", pool(minimum=0, maximum=6))
    serve(it, 6.0, 60.0)
    assert sum(felt.served for felt in it.felt.values()) > 300
    assert it.replicas >= 3
    it.run([], it.clock.now + 600.0)
    assert it.replicas == 0


def test_the_slots_of_a_dead_gateway_come_back_once_its_death_is_proven() -> None:
    it = world("abc", pool(minimum=2))
    it.at(20.0, lambda: it.kill("a", proof_s=3.0))
    serve(it, 3.5, 60.0, {"b": 1, "c": 1, "a": 4})
    assert it.felt["a"].lost > 0
    assert held(it) == 8


def test_without_proof_they_stay_its_own_until_its_next_process_comes() -> None:
    it = world("ab", pool(minimum=2))
    it.run([], 5.0)
    it.kill("a")
    it.run([], 60.0)
    assert held(it) == 4
    it.open("a")
    it.run([], 70.0)
    assert held(it) == 8


def test_while_no_controller_is_there_gateways_serve_on_and_the_next_one_shrinks_nothing() -> None:
    it = world("abc", pool(minimum=1, maximum=6))
    it.at(40.0, lambda: it.depose(away_s=10.0))
    before: list[int] = []
    it.at(39.9, lambda: before.append(it.replicas))
    it.at(60.0, lambda: before.append(it.replicas))
    serve(it, 8.0, 90.0)
    assert before[1] >= before[0] > 1
    assert not sum(felt.lost + felt.refused for felt in it.felt.values())


@pytest.mark.parametrize("seed", range(4))
def test_whatever_dies_or_is_cut_off_no_replica_is_overfilled_and_everybody_is_answered(seed: int) -> None:
    chance = random.Random(seed)
    it = world("abcd", pool(minimum=1, maximum=4))
    for when in range(5, 95, 3):
        kind, name = chance.choice(["cut", "cut", "kill", "depose"]), chance.choice("abcd")
        it.at(when + chance.random(), lambda kind=kind, name=name: strike(it, kind, name, chance))  # type: ignore[misc]
    serve(it, chance.choice([3.0, 6.0]), 100.0)
    it.run([], it.clock.now + 30.0)
    assert not any(gateway.fleet.journeys for gateway in it.gateways.values())
    assert sum(felt.served for felt in it.felt.values()) > 200


def strike(it: World, kind: str, name: str, chance: random.Random) -> None:
    """Let something happen."""
    if kind == "depose" and it.leader is not None:
        it.depose(chance.random() * 5.0)
    elif kind == "cut" and name in it.gateways:
        it.cut(name, chance.random() * 4.0)
    elif kind == "kill" and name in it.gateways and len(it.gateways) > 1:
        it.kill(name)
        it.at(it.clock.now + 2.0, lambda: it.open(name))
