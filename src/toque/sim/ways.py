"""Ways through time: how many replicas are ready by bins, what that costs, and who is late; and the cheapest way at a price.

Bin by bin every number of replicas that may make sense is gone on to from the ways that led so far, and of those that arrive at the
same number the cheapest few are kept: less paid, or less work left to do.

Law: a start is paid one cold start ahead, a stop until its drain has ended, and nobody is ordered while somebody drains (the core
would recall that one), so a way can be followed in the real core.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, inf

from toque.sim.service import Service, Standing
from toque.sim.timetable import Calendar

KEPT, KEPT_LONG = 4, 2
"""Ways gone on from to the same number of replicas, for a workload of up to `LONG` requests and for a longer one."""
LONG = 200_000
CHOICES = 16
"""Numbers of replicas looked at in one bin; where more may make sense, every second, fourth ... of them."""
DRAIN_WORKS_MEAN, DRAIN_WORKS = 0.5, 5.0
"""How long a drain takes, as a multiple of a request's work: on average, and so long that hardly any takes longer."""
LESS = 0.98
"""A dearer way is kept if it has this share of the work left, or less."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be planned: a demand, how time is cut, and how many replicas are allowed."""

    service: Service
    calendar: Calendar
    minimum: int
    maximum: int
    fewest: Sequence[int]
    most: Sequence[int]
    """By bins: the numbers between which it makes sense to look."""

    @staticmethod
    def of(service: Service, calendar: Calendar, minimum: int, maximum: int) -> "Problem":
        """Look a cold start and a wait back and ahead: fewer than the least load there are too few, more than its peak are idle."""
        demand, bin_s = service.demand, calendar.bin_s
        bins, around = int(demand.end_s / bin_s) + 1, calendar.ahead + ceil(demand.longest_wait_s / bin_s) + 1
        peaks = _around(demand.most_busy(bin_s, bins), around, max)
        loads = _around(demand.least_load(bin_s, bins), around, min)
        fewest = array("l", (min(maximum, max(minimum, int(load / service.slots))) for load in loads))
        most = array("l", (min(maximum, max(minimum, ceil(peak / service.slots))) for peak in peaks))
        return Problem(service, calendar, minimum, maximum, fewest, most)

    @property
    def is_long(self) -> bool:
        """Whether so many requests come that a search must hurry."""
        return len(self.service.demand.at) > LONG

    @property
    def kept(self) -> int:
        """Ways gone on from to the same number of replicas."""
        return KEPT_LONG if self.is_long else KEPT

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.most)

    @property
    def mean_work_s(self) -> float:
        """Seconds in a slot of a full replica that a request takes on average."""
        return self.service.demand.mean_work_s

    @property
    def start_s(self) -> float:
        """Replica-seconds paid for one start before it is ready."""
        return self.calendar.ahead * self.calendar.bin_s


@dataclass(frozen=True, slots=True)
class Stretches:
    """What comes of a way, by bins: replica-seconds paid, requests late, and seconds of one slot left to do at the end."""

    paid_s: "array[float]" = field(default_factory=lambda: array("d"))
    late: "array[int]" = field(default_factory=lambda: array("l"))
    left_s: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class _Turn:
    """From this bin on there are so many replicas."""

    bin: int
    replicas: int
    before: "_Turn | None"


@dataclass(slots=True)
class _Way:
    """One way to have come so far. `cost_s` is what was paid, and the price of those who are late, `risk_s` the price of those
    who wait; until the bin `held` nobody can be ordered."""

    cost_s: float
    risk_s: float
    left_s: float
    replicas: int
    standing: Standing
    held: int
    turn: _Turn
    paid_s: float = 0.0
    late: int = 0


def cheapest_way(problem: Problem, price_s: float, told: Callable[[float], None]) -> list[int]:
    """Return the replicas ready by bins on the cheapest way found, a late request being worth `price_s` replica-seconds.

    `told` hears the time that has been reached.
    """
    ways = [_first(problem)]
    for number in range(problem.bins):
        told(number * problem.calendar.bin_s)
        ways = _onward(problem, price_s, number, ways)
    return _numbers(min(ways, key=lambda way: way.cost_s).turn, problem.bins)


def retraced(problem: Problem, needs: Sequence[int]) -> Stretches:
    """Go a way that is known, and return what comes of it."""
    stretches, way = Stretches(), _first(problem)
    for number, replicas in enumerate(needs):
        way = _gone_on(problem, 0.0, number, way, replicas)
        stretches.paid_s.append(way.paid_s)
        stretches.late.append(way.late)
        stretches.left_s.append(way.left_s)
    return stretches


def _first(problem: Problem) -> _Way:
    initial = problem.calendar.initial
    return _Way(0.0, 0.0, 0.0, initial, Standing(), problem.calendar.ahead + 1, _Turn(0, initial, None))


def _onward(problem: Problem, price_s: float, number: int, ways: Sequence[_Way]) -> list[_Way]:
    """Go on by one bin, and forget the ways that another one is better than whatever comes.

    1. down from the best way's number, until fewer only cost more; 2. up from there, as far as going up now may be cheaper than
    going up later.
    """
    choices = _choices(problem, number, ways)
    anchor, base_s = min(ways, key=lambda way: way.cost_s).replicas, inf
    onward: list[_Way] = []
    for replicas in (choice for choice in reversed(choices) if choice <= anchor):  # 1
        before = _candidates(problem, number, ways, replicas)
        found = [_gone_on(problem, price_s, number, way, replicas) for _, way in before]
        onward += found
        base_s = min([base_s, *(_base_s(problem, way, number + 1) for way in found)])
        if min(way.cost_s for way in found) > _drained_s(problem, onward, replicas):
            break
    for replicas in (choice for choice in choices if choice > anchor):  # 2
        for reach_s, way in _candidates(problem, number, ways, replicas):
            if reach_s + replicas * problem.calendar.bin_s > base_s + problem.start_s * replicas:
                break
            onward.append(_gone_on(problem, price_s, number, way, replicas))
            base_s = min(base_s, _base_s(problem, onward[-1], number + 1))
    return _worth_keeping(problem, number + 1, onward)


def _choices(problem: Problem, number: int, ways: Sequence[_Way]) -> Sequence[int]:
    """Numbers of replicas for a bin: whatever may make sense and can be reached."""
    if not number:
        return (problem.calendar.initial,)
    fewest, most, step = problem.fewest[number], problem.most[number], 1
    reached = max(way.replicas for way in ways)
    if all(way.held > number for way in ways):
        fewest, most = min(fewest, reached), min(most, reached)
    while (most - fewest) // step >= CHOICES:
        step *= 2
    return range(most, fewest - 1, -step)[::-1]


def _candidates(problem: Problem, number: int, ways: Sequence[_Way], replicas: int) -> Sequence[tuple[float, _Way]]:
    """Return ways that can lead to so many replicas, and what they have cost there: the cheapest first, then those with ever
    less work left; of many the cheapest, the one with the least left, and some between."""
    able = [(_reach_s(problem, way, replicas), way) for way in ways if way.replicas >= replicas or way.held <= number]
    able.sort(key=lambda pair: (pair[0], pair[1].left_s))
    front: list[tuple[float, _Way]] = []
    for pair in able:
        if not front or pair[1].left_s < LESS * front[-1][1].left_s:
            front.append(pair)
    last, kept = len(front) - 1, problem.kept - 1
    return front if last <= kept else [front[place * last // kept] for place in range(kept + 1)]


def _reach_s(problem: Problem, way: _Way, replicas: int) -> float:
    """What a way has cost when it has changed to so many replicas, drains roughly."""
    more = replicas - way.replicas
    return way.cost_s + (more * problem.start_s if more > 0 else -more * DRAIN_WORKS_MEAN * problem.mean_work_s)


def _base_s(problem: Problem, way: _Way, number: int) -> float:
    """What a way that may order replicas in a bin has cost at the most, had it sold all it has for what they cost to start."""
    return way.cost_s + way.risk_s - problem.start_s * way.replicas if way.held <= number else inf


def _drained_s(problem: Problem, ways: Sequence[_Way], replicas: int) -> float:
    """What the best way costs when it has drained to so many replicas; inf if it has fewer."""
    best = min(ways, key=lambda way: way.cost_s)
    drains = best.replicas - replicas
    return best.cost_s + DRAIN_WORKS * problem.mean_work_s * drains if drains >= 0 else inf


def _gone_on(problem: Problem, price_s: float, number: int, way: _Way, replicas: int) -> _Way:
    """Spend one bin with so many replicas."""
    service, bin_s, more = problem.service, problem.calendar.bin_s, replicas - way.replicas
    begin, end = number * bin_s, (number + 1) * bin_s
    standing, drain_s = service.resized(way.standing, way.replicas, replicas)
    late = service.serve(standing, replicas, begin, end)
    paid_s = replicas * bin_s + (more * problem.start_s if more > 0 else -more * drain_s)
    held = number + problem.calendar.ahead + ceil(drain_s / bin_s) if more < 0 else way.held
    turn = _Turn(number, replicas, way.turn) if more else way.turn
    cost_s, waiting = way.cost_s + paid_s + price_s * late, service.waiting(standing, end)
    left_s = service.left_s(standing, waiting)
    return _Way(cost_s, price_s * waiting, left_s, replicas, standing, held, turn, paid_s, late)


def _worth_keeping(problem: Problem, number: int, ways: Sequence[_Way]) -> list[_Way]:
    """Of the same number of replicas keep those that paid less or have less left; of more than a cheaper way needs a start to
    reach, or of fewer than it could drain to, none."""
    worth: list[_Way] = []
    below_s = base_s = inf
    for way in sorted(ways, key=lambda way: (way.replicas, way.cost_s, way.left_s)):
        is_first = not worth or worth[-1].replicas != way.replicas
        if is_first:
            base_s = min(base_s, below_s)
        below_s = min(below_s, _base_s(problem, way, number))
        limit_s = min(base_s + problem.start_s * way.replicas, _drained_s(problem, ways, way.replicas))
        if way.cost_s <= limit_s and (is_first or way.left_s < worth[-1].left_s):
            worth.append(way)
    return worth


def _numbers(turn: _Turn, bins: int) -> list[int]:
    """Write a way out."""
    numbers: list[int] = []
    end = bins
    step: _Turn | None = turn
    while step is not None:
        numbers += [step.replicas] * (end - step.bin)
        end, step = step.bin, step.before
    numbers.reverse()
    return numbers


def _around(numbers: Sequence[float], reach: int, best: Callable[[float, float], float]) -> Iterator[float]:
    """Yield by place the best (max or min) of all numbers up to `reach` places away."""
    places: deque[int] = deque()
    upcoming = 0
    for place in range(len(numbers)):
        while upcoming < min(len(numbers), place + reach + 1):
            while places and best(numbers[places[-1]], numbers[upcoming]) == numbers[upcoming]:
                places.pop()
            places.append(upcoming)
            upcoming += 1
        while places[0] < place - reach:
            places.popleft()
        yield numbers[places[0]]
