"""The fleets of schedules: pools drawn from a generator, and the reloads that change them on the way."""

import random
from dataclasses import dataclass, replace

from toque.core.scaling import POLICIES
from toque.model.batch_spec import BatchSpec
from toque.model.fallback_spec import FallbackSpec, PriceSpec, SpendingSpec
from toque.model.resources import Resources
from toque.model.spec import (
    ColdStart,
    FleetSpec,
    PoolSpec,
    QueueSpec,
    ReplicaBounds,
    RestartSpec,
    RetrySpec,
    ScalingSpec,
)
from toque.model.trust_spec import BreakerSpec, EjectionSpec

NAMES = ("chat", "code", "tiny")


@dataclass(frozen=True)
class Reload:
    """Other settings from an instant on. `renewed`: pools whose replicas make way for new ones."""

    at: float
    spec: FleetSpec
    renewed: tuple[str, ...]


def draw_fleet(chance: random.Random) -> FleetSpec:
    """One to three pools, and room for all of them or for some."""
    pools = tuple(_pool(name, chance) for name in NAMES[: chance.randint(1, len(NAMES))])
    return FleetSpec(pools, _capacity(chance), _spending(chance))


def draw_reloads(spec: FleetSpec, last_s: float, chance: random.Random) -> tuple[Reload, ...]:
    """Mostly none; else a few, each of which changes what was before it."""
    reloads = []
    for at in sorted(chance.uniform(0.0, last_s) for _ in range(chance.choice([0, 0, 0, 1, 2, 4]))):
        pools = [changed for name in NAMES for changed in _changed(name, spec, chance)]
        spec = FleetSpec(tuple(pools), chance.choice([spec.capacity, _capacity(chance)]), _spending(chance))
        renewed = tuple(pool.name for pool in pools if chance.random() < 0.2)
        reloads.append(Reload(at, spec, renewed))
    return tuple(reloads)


def _changed(name: str, spec: FleetSpec, chance: random.Random) -> list[PoolSpec]:
    """A pool stays, goes, changes in what its replicas need not know, changes altogether, or comes."""
    before = next((pool for pool in spec.pools if pool.name == name), None)
    drawn = _pool(name, chance)
    match chance.choice(["stays", "stays", "goes", "changes", "is another"]):
        case "stays":
            return [before] if before else []
        case "goes":
            return []
        case "changes" if before:
            kept = {name: getattr(before, name) for name in ("slots", "elastic", "hosted", "footprint")}
            return [replace(drawn, **kept)]
        case _:
            return [drawn]


def _capacity(chance: random.Random) -> Resources:
    return Resources(memory_bytes=chance.choice([6, 12, 1000]), cores=chance.choice([4.0, 100.0]))


def _spending(chance: random.Random) -> SpendingSpec:
    return SpendingSpec(chance.choice([0.0, 0.01, 1000.0]))


def _fallback(name: str, chance: random.Random) -> FallbackSpec:
    others = [other for other in NAMES if other != name]
    chance.shuffle(others)
    patience_s = [0.0, 0.0, 0.5, 5.0]
    return FallbackSpec(
        tuple(others[: chance.choice([0, 0, 1, 2])]), chance.choice(patience_s), chance.choice(patience_s)
    )


def _pool(name: str, chance: random.Random) -> PoolSpec:
    is_elastic = chance.random() < 0.9
    return PoolSpec(
        name=name,
        slots=chance.choice([1, 2, 4, 8]),
        queue=_queue(chance),
        batch=_batch(chance),
        replicas=_bounds(chance) if is_elastic else ReplicaBounds(1, 1),
        scaling=ScalingSpec(
            policy=chance.choice([*POLICIES, "concurrency", "concurrency"]),
            target=chance.choice([0.0, 0.0, 1.0, 3.0]),
            interval_s=chance.choice([0.0, 1.0, 7.0]),
            stable_window_s=chance.choice([6.0, 20.0, 60.0]),
        ),
        restart=RestartSpec(backoff_s_max=chance.choice([4.0, 30.0]), crash_loop_failures=chance.randint(2, 5)),
        retry=RetrySpec(chance.randint(0, 2), chance.choice([0.0, 0.2]), chance.choice([0, 1, 10])),
        breaker=BreakerSpec(
            failures_in_a_row=chance.choice([1, 3, 5]),
            answers_min=chance.choice([2, 10]),
            open_s_min=chance.choice([1.0, 10.0]),
            open_s_max=chance.choice([10.0, 60.0]),
        ),
        ejection=EjectionSpec(
            slow_factor=chance.choice([0.0, 1.5, 3.0]),
            answers_min=chance.choice([1, 5]),
            share_max=chance.choice([0.34, 1.0]),
        ),
        footprint=Resources(memory_bytes=chance.randint(0, 5), cores=chance.choice([0.0, 1.0, 2.0])),
        cold_start=ColdStart(load_s=chance.choice([0.0, 5.0, 30.0])),
        elastic=is_elastic,
        hosted=not is_elastic,
        local_only=chance.random() < 0.2,
        fallback=_fallback(name, chance),
        price=PriceSpec(chance.choice([0.0, 1.0]), chance.choice([0.0, 10.0])),
    )


def _queue(chance: random.Random) -> QueueSpec:
    return QueueSpec(
        length_max=chance.choice([0, 2, 8, 32]),
        wait_s_max=chance.choice([1.0, 10.0, 30.0]),
        ageing_s=chance.choice([0.0, 2.0, 30.0]),
        batch_share_ratio=chance.choice([0.0, 0.05, 0.3, 0.5]),
        cold_wait_s_max=chance.choice([5.0, 60.0]),
    )


def _batch(chance: random.Random) -> BatchSpec:
    return BatchSpec(
        reserve_ratio=chance.choice([0.0, 0.0, 0.25, 1.0]),
        reserve_min=chance.choice([0, 0, 1]),
        headroom=chance.choice([0, 0, 1, 3]),
        replicas=chance.choice([0, 0, 1, 4]),
        preempt_patience_s=chance.choice([0.0, 0.02, 1.0]),
        preemptions_max=chance.choice([0, 1, 3, 3]),
    )


def _bounds(chance: random.Random) -> ReplicaBounds:
    maximum = chance.randint(1, 6)
    return ReplicaBounds(
        minimum_warm=chance.randint(0, min(2, maximum)),
        maximum=maximum,
        idle_to_zero_s=chance.choice([0.0, 10.0, 60.0]),
        scale_down_delay_s=chance.choice([0.0, 10.0, 60.0]),
        step_up_max=chance.randint(1, 4),
        step_down_max=chance.randint(1, 2),
        startup_timeout_s=chance.choice([5.0, 30.0]),
        drain_s_max=chance.choice([0.0, 5.0, 30.0]),
    )
