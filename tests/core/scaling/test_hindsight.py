"""Hindsight: rules tried on the traffic of the last hours, against lines simulated request by request."""

import random
from collections.abc import Iterator
from heapq import heappop, heappush
from math import exp

import pytest

from toque.core.hindsight import MEMORY_S, Hindsight, Rule, floors


def test_while_nobody_waits_those_present_leave_exponentially() -> None:
    rule = Rule(1, 1.0)
    rule.level = 4.0
    assert rule.advance(0.0, slots=8, elapsed_s=2.0, service=(4.0, 0.0), limit_s=2.0) == 0
    assert rule.level == pytest.approx(4 * exp(-0.5))


def test_with_all_slots_busy_the_level_moves_evenly() -> None:
    rule = Rule(1, 1.0)
    rule.level = 8.0
    assert rule.advance(4.0, slots=8, elapsed_s=2.0, service=(4.0, 4.0), limit_s=2.0) == 0, "10 in 8 slots: 2 s"
    assert rule.level == 8 + 4 - 8 * 2 / 8


def test_who_finds_more_before_him_than_the_slots_can_serve_in_time_misses() -> None:
    rule = Rule(1, 1.0)
    rule.level = 8.0
    # 8 slots, 4 s each: 2 a second. 12 is the most to find (2 s); the level goes from 8 to 8 + 12 - 4 = 16
    assert rule.advance(12.0, slots=8, elapsed_s=2.0, service=(4.0, 0.0), limit_s=2.0) == pytest.approx(6.0)
    assert rule.advance(6.0, slots=8, elapsed_s=2.0, service=(4.0, 0.0), limit_s=2.0) == 6.0, "from 16 on everybody"
    assert rule.level == 18


def test_the_longer_a_full_replica_takes_the_more_wait() -> None:
    slow, quick = Rule(1, 1.0), Rule(1, 1.0)
    late = [rule.advance(20.0, 8, 2.0, (2.0, more_s), 2.0) for rule, more_s in ((slow, 2.0), (quick, 0.0))]
    assert late[0] > late[1]


def test_the_cheapest_rule_that_missed_little_enough_is_chosen() -> None:
    hindsight = Hindsight(slots=1, maximum=4, limit_s=0.5)
    for _ in range(200):  # two a second, a second each, nothing reported as demand: the floor alone must carry it
        hindsight.advance(2.0, (0.0, 0.0), 1.0, (1.0, 0.0))
    assert hindsight.cheapest(0.005 * hindsight.arrived).floor == 2
    assert hindsight.cheapest(hindsight.arrived).floor == 1, "who may miss all pays least"


def test_where_no_rule_suffices_the_least_bad_ones_count() -> None:
    hindsight = Hindsight(slots=1, maximum=3, limit_s=0.5)
    for _ in range(50):
        hindsight.advance(9.0, (0.0, 0.0), 1.0, (1.0, 0.0))
    assert hindsight.cheapest(0.0).floor in {1, 2, 3}


def test_reaction_counts_only_for_what_has_had_its_cold_start() -> None:
    quick, slow = (Hindsight(slots=1, maximum=8, limit_s=0.5) for _ in range(2))
    for _ in range(100):
        quick.advance(4.0, (4.0, 4.0), 1.0, (1.0, 0.0))
        slow.advance(4.0, (4.0, 0.0), 1.0, (1.0, 0.0))
    assert quick.cheapest(0.0).floor == 1
    assert slow.cheapest(0.0).floor >= 4


def test_what_was_missed_fades() -> None:
    hindsight = Hindsight(slots=1, maximum=2, limit_s=0.5)
    hindsight.advance(100.0, (0.0, 0.0), 1.0, (1.0, 0.0))
    assert hindsight.arrived == 100
    hindsight.advance(0.0, (0.0, 0.0), MEMORY_S, (1.0, 0.0))
    assert hindsight.arrived == pytest.approx(100 * exp(-1))


def test_floors_are_exact_where_it_matters_and_end_at_the_maximum() -> None:
    assert list(floors(1)) == [1]
    assert list(floors(5)) == [1, 2, 3, 4, 5]
    assert list(floors(20)) == [*range(1, 15), 16, 18, 20]
    assert len(list(floors(1000))) < 50


def late_in_a_real_line(arrivals: list[float], slots: int, service_s: float, limit_s: float) -> int:
    """Request by request; lengths are drawn, as those of answers are not alike either."""
    chance = random.Random(7)
    free_at: list[float] = [0.0] * slots
    late = 0
    for at in arrivals:
        start = max(at, heappop(free_at))
        late += start - at > limit_s
        heappush(free_at, start + chance.expovariate(1 / service_s))
    return late


def bursts(every_s: float, size: int, gap_s: float, until_s: float) -> Iterator[float]:
    begin = 0.0
    while begin < until_s:
        yield from (begin + number * gap_s for number in range(size))
        begin += every_s


@pytest.mark.parametrize("slots", [8, 16, 24, 32])
def test_the_fluid_line_misses_about_what_a_real_line_misses(slots: int) -> None:
    arrivals = list(bursts(60.0, 40, 0.05, 3600.0))
    rule = Rule(1, 1.0)
    late = 0.0
    for second in range(0, 3600, 2):
        arrived = sum(second <= at < second + 2 for at in arrivals)
        late += rule.advance(float(arrived), slots, 2.0, (3.0, 0.0), 2.0)
    real = late_in_a_real_line(arrivals, slots, 3.0, 2.0)
    assert late / len(arrivals) == pytest.approx(real / len(arrivals), abs=0.12)
