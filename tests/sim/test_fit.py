"""A profile out of measured requests: what was put in comes out again, and errors say what they should."""

import random

import pytest

from toque.sim.fit import HELD_OUT_EVERY, SERVED_MIN, Served, fit_line, fit_slots, predict_service_s
from toque.sim.slots import SlotsProfile

TRUE = SlotsProfile(4, base_s=0.05, prefill_token_s=0.002, decode_token_s=0.01, decode_token_s_per_busy_slot=0.004)


def measured(number: int, noise: float = 0.0) -> Served:
    """A request as `TRUE` serves it, with relative noise."""
    chance = random.Random(number)
    prompt, output, busy = chance.randrange(10, 400), chance.randrange(2, 80), chance.choice((1.0, 4.0))
    blank = Served(prompt, output, 0.0, 0.0, busy)
    prefill_s = TRUE.prefill_s(prompt) * chance.uniform(1 - noise, 1 + noise)
    decode_s = (predict_service_s(TRUE, blank) - TRUE.prefill_s(prompt)) * chance.uniform(1 - noise, 1 + noise)
    return Served(prompt, output, prefill_s, prefill_s + decode_s, busy)


def test_what_was_put_in_comes_out_again() -> None:
    fit = fit_slots([measured(number) for number in range(40)], slots=4)
    assert fit.profile.base_s == pytest.approx(TRUE.base_s)
    assert fit.profile.prefill_token_s == pytest.approx(TRUE.prefill_token_s)
    assert fit.profile.decode_token_s == pytest.approx(TRUE.decode_token_s)
    assert fit.profile.decode_token_s_per_busy_slot == pytest.approx(TRUE.decode_token_s_per_busy_slot)
    assert fit.ttft.p90 < 1e-6
    assert fit.service.p90 < 1e-6
    assert (fit.fitted, fit.held_out) == (30, 10)


def test_noise_is_told_as_an_error_and_does_not_pull_the_profile_to_one_side() -> None:
    fit = fit_slots([measured(number, noise=0.3) for number in range(2000)], slots=4)
    assert fit.profile.token_s(4) == pytest.approx(TRUE.token_s(4), rel=0.03)
    assert fit.profile.prefill_s(200) == pytest.approx(TRUE.prefill_s(200), rel=0.03)
    assert 0.1 < fit.ttft.median < 0.2
    assert fit.ttft.p90 > fit.ttft.median


def test_held_out_requests_do_not_touch_the_profile() -> None:
    requests = [measured(number) for number in range(16)]
    before = fit_slots(requests, slots=4)
    odd = HELD_OUT_EVERY - 1
    requests[odd] = Served(100, 10, 99.0, 100.0, 4.0)
    after = fit_slots(requests, slots=4)
    assert after.profile == before.profile
    assert after.service.p90 > before.service.p90


def test_one_slot_has_no_slope_over_busy_slots() -> None:
    alone = [Served(10 * n, 10, 0.1 + 0.01 * n, 0.1 + 0.01 * n + 9 * 0.02, 1.0) for n in range(1, 20)]
    profile = fit_slots(alone, slots=1).profile
    assert profile.decode_token_s_per_busy_slot == 0
    assert profile.token_s(1) == pytest.approx(0.02)


def test_answers_of_one_token_fit_a_profile_without_decoding() -> None:
    profile = fit_slots([Served(n, 1, 0.1, 0.1, 1.0) for n in range(1, 20)], slots=2).profile
    assert profile.base_s == pytest.approx(0.1)
    assert profile == SlotsProfile(2, base_s=profile.base_s)


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
        fit_slots([measured(1)] * (SERVED_MIN - 1), slots=4)
