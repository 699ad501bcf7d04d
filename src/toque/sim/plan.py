"""The search for a lean timetable: repaired where requests wait too long, then trimmed wherever that costs no more misses
than the objective allows. Method: docs/explanation/optimum.md.

Law: only an estimate is searched here (first come first served over slots); whoever uses a timetable runs it in the real
core. Chance is seeded, so the same demand gives the same plan.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from toque.sim.demand import Demand
from toque.sim.timetable import Calendar

START = 1.0
"""Replicas to start from, as a multiple of the load: repair adds what is missing, trimming takes what is not."""
EVALUATIONS = 1_000_000
"""Requests and bins looked at in one search, all passes together: some seconds."""
AGAIN = 0.2
"""Share of that where a search goes on from a timetable that another one found."""
PASSES_MIN, PASSES_MAX = 6, 100
REPAIRS_MIN, REPAIRS_MAX = 10, 60


@dataclass(frozen=True, slots=True)
class Search:
    """A demand, what may be used to serve it (replicas of `slots` slots), and how many requests may be late.

    `speed` scales service times: below 1 where replicas are mostly less than full, and so faster.
    """

    demand: Demand
    calendar: Calendar
    slots: int
    minimum: int
    maximum: int
    misses: int
    speed: float = 1.0

    def tried(self, needs: list[int]) -> "Trial":
        """Estimate what becomes of the demand."""
        ordered = self.calendar.ordered(needs)
        ready = self.calendar.ready(ordered)
        return Trial(needs, ordered, self.demand.late(ready, self.calendar.bin_s, self.slots, self.speed))

    def bounded(self, replicas: int) -> int:
        """Keep a number within minimum and maximum."""
        return min(self.maximum, max(self.minimum, replicas))


@dataclass(frozen=True, slots=True)
class Trial:
    """Needs by bins, what would be ordered and paid for them, and which requests would be late."""

    needs: list[int]
    ordered: list[int]
    late: list[int]


def find_timetable(search: Search, known: Sequence[int] | None = None) -> list[int]:
    """Return the leanest needs found under which at most `misses` requests are late, or nearly so where none are.

    `known` are needs that suit a similar search, to go on from.
    """
    busy = search.demand.load(search.calendar.bin_s, search.speed)
    passes = min(PASSES_MAX, EVALUATIONS // (len(search.demand.at) + len(busy)))
    if known is None:
        known = [search.bounded(ceil(START * slots / search.slots)) for slots in busy]
    else:
        passes = int(AGAIN * passes)
    return _trimmed(search, _repaired(search, list(known)), max(PASSES_MIN, passes))


# ---- repair ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Jam:
    """Late requests close to each other, and the bins (first, last) in which more replicas would have helped."""

    late: int
    first: int
    last: int
    cost: float


def _repaired(search: Search, needs: list[int]) -> Trial:
    """Add replicas where requests are late, most late requests per replica-bin first, until few enough are."""
    trial = search.tried(needs)
    for _ in range(min(REPAIRS_MAX, max(REPAIRS_MIN, 10 * EVALUATIONS // (len(search.demand.at) + 1)))):
        left = len(trial.late) - search.misses
        needs = list(trial.needs)
        for jam in sorted(_jams(search, trial.late), key=lambda jam: jam.late / jam.cost, reverse=True):
            if left <= 0:
                break
            left -= jam.late
            _raise(search, needs, jam)
        if needs == trial.needs:
            break
        trial = search.tried(needs)
    return trial


def _jams(search: Search, late: Sequence[int]) -> list[_Jam]:
    """Group late requests that are less than a cold start apart."""
    demand, gap_s = search.demand, search.calendar.cold_start_s + search.calendar.bin_s
    jams: list[_Jam] = []
    first = 0
    for place, number in enumerate(late, start=1):
        if place == len(late) or demand.at[late[place]] - demand.at[number] > gap_s:
            jams.append(_jam(search, late[first:place]))
            first = place
    return jams


def _jam(search: Search, late: Sequence[int]) -> _Jam:
    """More replicas help from the first one's arrival to the last one's latest start."""
    demand, calendar = search.demand, search.calendar
    first, last = calendar.bin(demand.at[late[0]]), calendar.bin(demand.at[late[-1]] + demand.slack_s[late[-1]])
    return _Jam(len(late), first, last, last - first + 1 + calendar.cold_start_s / calendar.bin_s)


def _raise(search: Search, needs: list[int], jam: _Jam) -> None:
    for number in range(jam.first, min(jam.last + 1, len(needs))):
        needs[number] = search.bounded(needs[number] + 1)


# ---- trim ------------------------------------------------------------------------------------------------------------


def _trimmed(search: Search, best: Trial, passes: int) -> list[int]:
    """Lower hilltops here and there, and keep what cost few misses for what it saved."""
    chance = random.Random(0)  # noqa: S311 - reproducible on purpose
    for _ in range(passes):
        cuts = _cuts(search, best.needs, chance)
        trial = search.tried(_lowered(best.needs, cuts))
        accepted = _accepted(search, best, trial, cuts)
        if accepted != cuts:
            trial = search.tried(_lowered(best.needs, accepted))
        if len(trial.late) <= max(search.misses, len(best.late)) and sum(trial.ordered) <= sum(best.ordered):
            best = trial
    return best.needs


def _cuts(search: Search, needs: Sequence[int], chance: random.Random) -> list[tuple[int, int]]:
    """Pick hilltops (all of one, or one end of it), far enough apart that their effects do not mix."""
    apart = ceil(2 * search.calendar.cold_start_s / search.calendar.bin_s) + 3
    cuts, free_from, first = [], 0, 0
    for number in range(1, len(needs) + 1):
        if number < len(needs) and needs[number] == needs[first]:
            continue
        is_top = (first == 0 or needs[first - 1] < needs[first]) and (
            number == len(needs) or needs[number] < needs[first]
        )
        if is_top and needs[first] > search.minimum and first >= free_from and chance.random() < 0.7:
            cuts.append(_part(first, number, chance))
            free_from = number + apart
        first = number
    return cuts


def _part(first: int, end: int, chance: random.Random) -> tuple[int, int]:
    """Choose all of a hilltop, a half, or one bin of it at either end."""
    kind = chance.randrange(5)
    length = end - first if kind == 0 else (end - first + 1) // 2 if kind < 3 else 1
    return (first, first + length) if kind % 2 else (end - length, end)


def _accepted(search: Search, best: Trial, trial: Trial, cuts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Blame each cut for the further misses up to the next one, and keep those most worth their misses."""
    saved = _saved(best, trial, cuts)
    blamed = _blamed(search, best.late, trial.late, cuts)
    budget = max(0, search.misses - len(best.late))
    accepted = set()
    for place in sorted(range(len(cuts)), key=lambda place: blamed[place] / max(saved[place], 0.1)):
        if blamed[place] <= budget:
            accepted.add(cuts[place])
            budget -= max(0, blamed[place])
    return [cut for cut in cuts if cut in accepted]


def _lowered(needs: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    lowered = list(needs)
    for first, end in cuts:
        for number in range(first, end):
            lowered[number] -= 1
    return lowered


def _saved(best: Trial, trial: Trial, cuts: Sequence[tuple[int, int]]) -> list[int]:
    """Return by cut the replica-bins it saves, counted back to the cut before."""
    starts = [0, *(end for _, end in cuts)]
    return [
        sum(best.ordered[start:end]) - sum(trial.ordered[start:end])
        for start, (_, end) in zip(starts, cuts, strict=False)
    ]


def _blamed(search: Search, late: Sequence[int], more: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    """Return by cut how many more requests are late from its start to the start of the next."""
    counts = [0] * len(cuts)
    for numbers, change in ((late, -1), (more, 1)):
        place = -1
        for number in numbers:
            at = search.calendar.bin(search.demand.at[number])
            while place + 1 < len(cuts) and cuts[place + 1][0] <= at + 1:
                place += 1
            if place >= 0:
                counts[place] += change
    return counts
