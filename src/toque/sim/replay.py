"""Replay: a recorded journal through a fresh core, to prove that the same decisions come out.

Law: only the journal's times count; the first step that differs is told with what was recorded and what came now.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from toque.core.fleet import Fleet
from toque.core.invariants import check_fleet
from toque.core.routing import ROUTERS, RouterTable
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.messages import Effect, Event
from toque.model.spec import FleetSpec

INVARIANTS_EVERY = 100
"""Steps between two checks of all invariants: each is O(replicas + waiting)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step whose effects are not the recorded ones. `index` counts steps from 0."""

    index: int
    now: float
    event: Event
    recorded: list[Effect]
    replayed: list[Effect]


@dataclass(frozen=True, slots=True)
class Replay:
    """How far a replay came. `difference` None: every effect was the same."""

    steps: int
    effects: int
    difference: Difference | None


def replay(
    spec: FleetSpec,
    born: float,
    steps: Iterable[tuple[float, Event, list[Effect]]],
    policies: PolicyTable = POLICIES,
    routers: RouterTable = ROUTERS,
) -> Replay:
    """Feed recorded events to a fresh fleet and compare effects, up to the first difference."""
    fleet = Fleet(spec, born, policies, routers)
    count = effects = 0
    for index, (now, event, recorded) in enumerate(steps):
        replayed = fleet.handle(event, now)
        if replayed != recorded:
            return Replay(index, effects, Difference(index, now, event, recorded, replayed))
        count, effects = index + 1, effects + len(recorded)
        if index % INVARIANTS_EVERY == 0:
            check_fleet(fleet, now)
    return Replay(count, effects, None)
