"""A profile out of measured requests: what was put in comes out again, and errors say what they should."""

import random
from collections.abc import Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush

import pytest

from toque.sim.fit import HELD_OUT_EVERY, SERVED_MIN, fit_line, fit_slots
from toque.sim.neighbours import Served, meet
from toque.sim.slots import Prefill, SlotsProfile

TRUE = SlotsProfile(4, base_s=0.05, prefill_token_s=0.002, decode_token_s=0.01, decode_token_s_per_busy_slot=0.004)
TOGETHER = replace(TRUE, prefill=Prefill.TOGETHER)


def measured(profile: SlotsProfile, requests: int = 60, seed: int = 1) -> list[Served]:
    """Serve a quarter of the requests to one client alone and the others to as many as there are slots."""
    chance = random.Random(seed)
    sizes = ((chance.randrange(10, 400), chance.randrange(2, 80)) for _ in range(requests))
    alone = list(crowd(profile, 1, [next(sizes) for _ in range(requests // 4)], 0.0))
    return alone + list(crowd(profile, profile.slots, list(sizes), max(one.ended_s for one in alone)))


def crowd(profile: SlotsProfile, clients: int, sizes: list[tuple[int, int]], since: float) -> Iterator[Served]:
    """Keep so many clients asking, each a little after its last answer; yield what was served in the order of ends."""
    replica = profile.replica()
    waiting = [(since + 0.01 * number, number) for number in range(clients)]
    heapify(waiting)
    began: dict[int, float] = {}
    first: dict[int, float] = {}
    asked = 0
    while len(began) > len(first) or first or (waiting and asked < len(sizes)):
        comes_at = waiting[0][0] if waiting and asked < len(sizes) else float("inf")
        now = min(comes_at, replica.next_at())
        if comes_at <= now:
            heappop(waiting)
            began[asked] = now
            replica.begin(asked, *sizes[asked], now)
            asked += 1
        for number, is_end in replica.turn(now):
            if is_end:
                heappush(waiting, (now + 0.01, number))
                yield Served(*sizes[number], began.pop(number), first.pop(number), now)
            else:
                first[number] = now


def noisy(one: Served, noise: float, chance: random.Random) -> Served:
    """Stretch a request's times at random."""
    first_s = one.began_s + one.ttft_s * chance.uniform(1 - noise, 1 + noise)
    return replace(one, first_s=first_s, ended_s=first_s + one.decode_s * chance.uniform(1 - noise, 1 + noise))


@pytest.mark.parametrize("true", [TRUE, TOGETHER], ids=["each", "together"])
def test_what_was_put_in_comes_out_again(true: SlotsProfile) -> None:
    fit = fit_slots(measured(true), slots=4)
    assert fit.profile.prefill is true.prefill
    assert fit.profile.prefill_s(0) == pytest.approx(true.prefill_s(0), rel=0.03)
    assert fit.profile.prefill_token_s == pytest.approx(true.prefill_token_s, rel=0.01)
    assert fit.profile.token_s(1) == pytest.approx(true.token_s(1), rel=0.03)
    assert fit.profile.token_s(4) == pytest.approx(true.token_s(4), rel=0.03)
    assert fit.ttft.p90 < 0.03
    assert fit.service.p90 < 0.03
    assert (fit.fitted, fit.held_out) == (45, 15)


def test_noise_is_told_as_an_error_and_does_not_pull_the_profile_to_one_side() -> None:
    chance = random.Random(3)
    fit = fit_slots([noisy(one, 0.3, chance) for one in measured(TRUE, 2000)], slots=4)
    assert fit.profile.prefill is Prefill.EACH
    assert fit.profile.token_s(4) == pytest.approx(TRUE.token_s(4), rel=0.03)
    assert fit.profile.prefill_s(200) == pytest.approx(TRUE.prefill_s(200), rel=0.03)
    assert 0.1 < fit.ttft.median < 0.2
    assert fit.ttft.p90 > fit.ttft.median


def test_held_out_requests_do_not_touch_the_profile() -> None:
    requests = list(crowd(TRUE, 1, [(50 * number, 10) for number in range(1, 17)], 0.0))
    before = fit_slots(requests, slots=4)
    odd = HELD_OUT_EVERY - 1
    requests[odd] = replace(requests[odd], output_tokens=1000)
    after = fit_slots(requests, slots=4)
    assert after.profile == before.profile
    assert after.service.p90 > before.service.p90


def test_who_decodes_beside_a_reading_was_held_by_it_and_only_then() -> None:
    # alone from 0 to 1; the second comes at 1.5, is read until 2.5 and holds the first, which ends at 3
    first, second, third = meet(
        [Served(100, 11, 0.0, 1.0, 3.0), Served(100, 2, 1.5, 2.5, 3.5), Served(100, 1, 5.0, 6.0, 6.0)]
    )
    assert (first.held, first.held_s) == (1, 1.0)
    assert first.busy == pytest.approx((0.5 + 2 * 1.5) / 2)
    assert first.busy_free == pytest.approx((0.5 + 2 * 0.5) / 1)
    assert (second.held, second.reading.decoding, second.reading.is_fresh) == (0, 1, True)
    assert (third.reading.start_s, third.reading.decoding) == (5.0, 0)


def test_first_tokens_of_one_instant_are_one_reading_that_began_when_the_one_before_ended() -> None:
    _, *mates = meet([Served(100, 1, 0.0, 1.0, 1.0), Served(50, 1, 0.2, 2.0, 2.0), Served(70, 1, 0.9, 2.001, 2.001)])
    for one in mates:
        assert (one.reading.start_s, one.reading.end_s, one.reading.prompt_tokens) == (1.0, 2.001, 120)
        assert not one.reading.is_fresh


def test_one_slot_has_no_slope_over_busy_slots() -> None:
    profile = fit_slots(measured(replace(TRUE, slots=1)), slots=1).profile
    assert profile.decode_token_s_per_busy_slot == 0
    assert profile.token_s(1) == pytest.approx(TRUE.token_s(1))


def test_answers_of_one_token_fit_a_profile_without_decoding() -> None:
    profile = fit_slots([Served(n, 1, float(n), n + 0.1, n + 0.1) for n in range(1, 20)], slots=2).profile
    assert profile.base_s == pytest.approx(0.1)
    assert profile.prefill_token_s == pytest.approx(0.0, abs=1e-12)
    assert profile.token_s(2) == 0


@pytest.mark.parametrize(
    ("points", "line"),
    [
        ([(0.0, 5.0, 1.0), (1.0, 3.0, 1.0)], (4.0, 0.0)),
        ([(1.0, 0.1, 1.0), (2.0, 1.1, 1.0)], (0.0, pytest.approx(0.46, rel=0.3))),
        ([(3.0, 2.0, 1.0)], (2.0, 0.0)),
        ([], (0.0, 0.0)),
    ],
    ids=["falling: flat", "below nought: through the origin", "one point: flat", "nothing"],
)
def test_no_parameter_is_negative(points: list[tuple[float, float, float]], line: tuple[float, float]) -> None:
    assert fit_line(points) == line


def test_too_few_requests_give_no_profile() -> None:
    with pytest.raises(ValueError, match=str(SERVED_MIN)):
        fit_slots([Served(1, 1, 0.0, 1.0, 1.0)] * (SERVED_MIN - 1), slots=4)
