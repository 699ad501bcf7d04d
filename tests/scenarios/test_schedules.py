"""Thousands of schedules with troubles of every kind: no law of the core breaks, in any step, and all of them end in calm.

A failing seed is replayed, and made small, by `./dev run python -m tests.scenarios SEED`.
"""

from math import inf

import pytest

from tests.scenarios.climate import Climate
from tests.scenarios.schedule import Client, Schedule, draw_schedule
from tests.scenarios.shrink import complaint, shrink
from tests.scenarios.world import World
from toque.core.exits import Exits
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ScalingSpec

QUICK = 100
BLOCK = 250
BLOCKS = 10
"""2,500 schedules in all, in a minute of one core."""


def _failing(seeds: range) -> list[str]:
    return [f"seed {seed}: {told}" for seed in seeds if (told := complaint(draw_schedule(seed)))]


@pytest.mark.slow
def test_a_hundred_schedules_break_no_law() -> None:
    assert _failing(range(QUICK)) == [], "replay: ./dev run python -m tests.scenarios SEED"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_thousands_of_schedules_break_no_law(block: int) -> None:
    first = QUICK + block * BLOCK
    assert _failing(range(first, first + BLOCK)) == [], "replay: ./dev run python -m tests.scenarios SEED"


# ---- the schedules themselves ----------------------------------------------------------------------------------------


def test_the_same_seed_runs_the_same_steps() -> None:
    def steps(seed: int) -> list[str]:
        world = World(draw_schedule(seed))
        told = world.remember(10**6)
        world.run()
        return [str(step) for step in told]

    assert steps(7) == steps(7)
    assert steps(7) != steps(8)


def test_the_schedules_hold_troubles_of_every_kind() -> None:
    climates = [draw_schedule(seed).climate for seed in range(QUICK)]
    assert {name for climate in climates for name in climate.troubles} == set(Climate.__dataclass_fields__)
    assert any(not climate.troubles for climate in climates), "and some of none"


@pytest.mark.slow
def test_a_law_that_breaks_is_told_and_its_schedule_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exits, "give_up", lambda exits, now, out: None)
    clients = tuple(
        Client(number, 0.1 * number, "chat", False, 3.0 + number % 7, inf, 0.1, 0.7) for number in range(1, 31)
    )
    spec = FleetSpec((PoolSpec("chat", slots=2, scaling=ScalingSpec("fixed")),), Resources(1, 1.0))
    schedule = Schedule(1, spec, clients, Climate(timer_late_ratio=0.9, echo_ratio=0.3, slow_ratio=0.1))
    assert "after its deadline" in complaint(schedule)
    small = shrink(schedule)
    assert "after its deadline" in complaint(small)
    assert len(small.clients) < len(clients) / 2
    assert small.climate.troubles == ["timer_late_ratio"]
