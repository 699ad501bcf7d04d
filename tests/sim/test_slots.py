"""The slots model against one that goes forward in tiny steps, and against sums done by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.test_batching import reports, workload
from toque.sim.arrival import Arrival
from toque.sim.slots import SlotsProfile

PROFILE = SlotsProfile(
    slots=8, base_s=0.05, prefill_token_s=0.001, decode_token_s=0.01, decode_token_s_per_busy_slot=0.005
)


def by_pieces(profile: SlotsProfile, arrivals: list[Arrival]) -> dict[tuple[int, bool], float]:
    """Go from change to change, and advance every request by itself: the plain way, quadratic in their number."""
    came: dict[tuple[int, bool], float] = {}
    prefill: dict[int, float] = {}
    tokens: dict[int, float] = {}
    now, ahead = 0.0, 0
    while ahead < len(arrivals) or prefill or tokens:
        token_s = profile.token_s(len(prefill) + len(tokens))
        nexts = [now + left for left in prefill.values()] + [now + left * token_s for left in tokens.values()]
        if ahead < len(arrivals):
            nexts.append(arrivals[ahead].at)
        span_s = min(nexts) - now
        now = min(nexts)
        prefill = {number: left - span_s for number, left in prefill.items()}
        tokens = {number: left - span_s / token_s for number, left in tokens.items()}
        for number in [number for number, left in tokens.items() if left < 1e-9]:
            came[number, True] = now
            del tokens[number]
        for number in [number for number, left in prefill.items() if left < 1e-12]:
            came[number, False] = now
            tokens[number] = arrivals[number].output_tokens - 1
            del prefill[number]
        while ahead < len(arrivals) and arrivals[ahead].at <= now:
            prefill[ahead] = profile.prefill_s(arrivals[ahead].prompt_tokens)
            ahead += 1
    return came


SIZES = st.tuples(st.floats(0.001, 0.7), st.integers(0, 500), st.integers(1, 60))


@settings(max_examples=150, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=12))
def test_one_clock_of_tokens_agrees_with_every_request_counted_by_itself(gaps: list[tuple[float, int, int]]) -> None:
    arrivals = workload(gaps)
    came = {(number, is_end): at for at, number, is_end in reports(PROFILE.replica(), arrivals)}
    assert came == pytest.approx(by_pieces(PROFILE, arrivals), rel=1e-7)


def test_two_requests_slow_each_other_down_as_the_formula_says() -> None:
    profile = SlotsProfile(2, base_s=1.0, prefill_token_s=0.01, decode_token_s=0.1, decode_token_s_per_busy_slot=0.1)
    came = list(reports(profile.replica(), [Arrival(0.0, 100, 11), Arrival(1.0, 0, 11)]))
    # both have their first token at 2.0; then 10 tokens at 0.1 + 0.2 s each
    assert came == [(2.0, 0, False), (2.0, 1, False), (pytest.approx(5.0), 0, True), (pytest.approx(5.0), 1, True)]


def test_an_answer_of_one_token_ends_with_its_first() -> None:
    assert list(reports(SlotsProfile(1, base_s=2.0).replica(), [Arrival(1.0)])) == [(3.0, 0, False), (3.0, 0, True)]


def test_a_full_replica_is_the_best_packing_and_the_longest_service() -> None:
    arrivals = [Arrival(0.0, 100, 50)] * 8
    ends = [at for at, _, is_end in reports(PROFILE.replica(), arrivals) if is_end]
    assert max(ends) == pytest.approx(PROFILE.longest_s(arrivals[0]), rel=1e-9)
    assert sum(map(PROFILE.least_work_s, arrivals)) == pytest.approx(max(ends))
    alone = [at for at, _, is_end in reports(PROFILE.replica(), arrivals[:1]) if is_end]
    assert PROFILE.least_work_s(arrivals[0]) < alone[0] < PROFILE.service_s(arrivals[0])
