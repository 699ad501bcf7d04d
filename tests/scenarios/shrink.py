"""Makes a failing schedule small: fewer troubles, gaps and clients, as long as the same law is broken.

Law: a bounded number of runs, and what comes out fails for the same reason as what went in.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from tests.scenarios.schedule import Schedule
from tests.scenarios.world import World

RUNS_MAX = 200


def complaint(schedule: Schedule) -> str:
    """Run a schedule; return what law it breaks, with the step's circumstances, or nothing."""
    world = World(schedule)
    try:
        world.run()
    except AssertionError as error:
        return f"{error or 'an assertion'} (step {world.steps}, at {world.now:g} s)"
    return ""


def shrink(schedule: Schedule) -> Schedule:
    """Take away whatever is not needed for the failure, the largest parts first."""
    kind = _kind(complaint(schedule))
    runs = 0
    size = len(schedule.clients)
    while size:
        for candidate in _smaller(schedule, size):
            runs += 1
            if runs > RUNS_MAX:
                return schedule
            if _kind(complaint(candidate)) == kind:
                schedule = candidate
                break
        else:
            size //= 2
    return schedule


def _kind(told: str) -> str:
    """A complaint without its numbers and names."""
    return "".join(letter for letter in told.partition(" (step")[0].rpartition(":")[2] if not letter.isdigit())


def _smaller(schedule: Schedule, size: int) -> Iterator[Schedule]:
    """Every schedule with one trouble less, or so many neighbouring clients."""
    if size == len(schedule.clients):
        yield from (replace(schedule, climate=schedule.climate.without(name)) for name in schedule.climate.troubles)
        yield from (replace(schedule, gaps=tuple(g for g in schedule.gaps if g is not gap)) for gap in schedule.gaps)
        yield from (replace(schedule, squeezes=schedule.squeezes[:n]) for n in range(len(schedule.squeezes)))
        yield from (replace(schedule, reloads=schedule.reloads[:n]) for n in range(len(schedule.reloads)))
        if schedule.drain_at < inf:
            yield replace(schedule, drain_at=inf)
    for begin in range(len(schedule.clients) - size, -1, -size):
        yield replace(schedule, clients=schedule.clients[:begin] + schedule.clients[begin + size :])
