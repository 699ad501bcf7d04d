"""Accounts: what a tenant may still use of its limits a minute, at once and a day."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toque.core.account import DAY_S, OUTPUT_TOKENS_GUESS, Account
from toque.core.bucket import Bucket
from toque.model.fallback_spec import PriceSpec
from toque.model.usage import KeyLimitSpec, Standing, Use

NOON = 20_000 * DAY_S + DAY_S / 2
FREE = PriceSpec()


def account(**limits: float) -> Account:
    return Account(KeyLimitSpec(**limits), NOON)  # type: ignore[arg-type]


# ---- a minute --------------------------------------------------------------------------------------------------------


def test_as_many_requests_as_the_limit_come_at_once_and_then_one_by_one() -> None:
    of = account(requests_per_minute=3)
    assert [of.admit(Use(), NOON) for _ in range(3)] == [None] * 3
    excess = of.admit(Use(), NOON)
    assert excess is not None
    assert (excess.limit, excess.wait_s, excess.is_of_day) == ("3 requests a minute", 20.0, False)
    assert of.requests(NOON) == Standing(3, 0, 60.0)
    assert of.admit(Use(), NOON + 20) is None
    assert of.admit(Use(), NOON + 20) is not None
    assert of.requests(NOON + 50) == Standing(3, 1, 30.0)
    assert of.requests(NOON + 500) == Standing(3, 3, 0.0)


def test_tokens_are_set_aside_as_expected_and_settled_as_taken() -> None:
    of = account(tokens_per_minute=1000)
    assert of.admit(Use(800), NOON) is None
    assert of.tokens(NOON) == Standing(1000, 200, 48.0)
    excess = of.admit(Use(300), NOON)
    assert excess is not None
    assert (excess.limit, excess.wait_s) == ("1000 tokens a minute", 6.0)
    of.settle(Use(800), Use(100), NOON)
    assert of.admit(Use(300), NOON) is None
    of.settle(Use(300), Use(2000), NOON)
    assert of.tokens(NOON) == Standing(1000, 0, 126.0), "it took more than was expected"
    assert of.requests(NOON) is None


def test_a_request_larger_than_the_limit_passes_when_nothing_else_was_used_and_is_waited_for() -> None:
    of = account(tokens_per_minute=1000)
    assert of.admit(Use(5000), NOON) is None
    excess = of.admit(Use(5000), NOON)
    assert excess is not None
    assert excess.wait_s == 300.0


def test_of_requests_under_way_no_more_than_the_limit_are_let_in() -> None:
    of = account(in_flight_max=2)
    assert [of.admit(Use(), NOON) for _ in range(2)] == [None, None]
    excess = of.admit(Use(), NOON)
    assert excess is not None
    assert (excess.limit, excess.wait_s) == ("2 requests at once", 1.0)
    of.settle(Use(), Use(), NOON + 9)
    assert of.admit(Use(), NOON + 9) is None


def test_what_a_refused_request_would_have_taken_is_not_taken() -> None:
    of = account(requests_per_minute=10, tokens_per_minute=100)
    of.admit(Use(60), NOON)
    assert of.admit(Use(60), NOON) is not None
    assert of.requests(NOON) == Standing(10, 9, 6.0)
    assert of.admit(Use(40), NOON) is None


# ---- a day -----------------------------------------------------------------------------------------------------------


def test_a_days_budget_admits_while_any_is_left_and_is_new_at_midnight() -> None:
    of = account(tokens_per_day=1000)
    assert of.admit(Use(600), NOON) is None
    assert of.admit(Use(600), NOON) is None
    assert of.tokens(NOON) == Standing(1000, 0, DAY_S / 2)
    assert of.admit(Use(1), NOON) is not None
    of.settle(Use(600), Use(300), NOON)
    of.settle(Use(600), Use(300), NOON)
    assert of.tokens(NOON + 1) == Standing(1000, 400, DAY_S / 2 - 1)
    assert of.admit(Use(900), NOON) is None
    of.settle(Use(900), Use(900), NOON)
    excess = of.admit(Use(1), NOON + 100)
    assert excess is not None
    assert (excess.limit, excess.wait_s, excess.is_of_day) == ("1000 tokens a day", DAY_S / 2 - 100, True)
    assert of.admit(Use(1), NOON + DAY_S / 2) is None
    assert of.used == Use()


def test_money_is_a_budget_too() -> None:
    price = PriceSpec(input=1.0, output=10.0)
    of = account(spend_per_day=0.01)
    expected = of.expect(1000, 500, price)
    assert expected == Use(1500, 0.006)
    assert [of.admit(expected, NOON) is None for _ in range(3)] == [True, True, False]
    excess = of.admit(expected, NOON)
    assert excess is not None
    assert excess.limit == "0.01 of money a day"


def test_what_was_used_before_a_restart_or_elsewhere_counts_on_its_day_alone() -> None:
    of = account(tokens_per_day=100)
    of.learn(of.day - 1, Use(500))
    assert of.admit(Use(1), NOON) is None
    of.learn(of.day, Use(100))
    assert of.admit(Use(1), NOON) is not None


def test_items_of_batches_are_held_to_the_day_alone() -> None:
    of = account(requests_per_minute=1, tokens_per_minute=10, in_flight_max=1, tokens_per_day=100)
    assert [of.admit(Use(60), NOON, is_item=True) for _ in range(2)] == [None, None]
    assert of.admit(Use(60), NOON, is_item=True) is not None
    of.settle(Use(60), Use(40), NOON, is_item=True)
    assert of.tokens(NOON) == Standing(10, 10, 0.0)
    assert of.admit(Use(5), NOON) is not None, "what the other item is expected to take is set aside"
    of.settle(Use(60), Use(40), NOON, is_item=True)
    assert of.admit(Use(5), NOON) is None


# ---- what is expected, and other limits ------------------------------------------------------------------------------


def test_an_answer_is_expected_as_asked_or_as_usual() -> None:
    of = account(tokens_per_day=1)
    assert of.expect(10, 50, FREE) == Use(60)
    assert of.expect(10, 0, FREE) == Use(10 + OUTPUT_TOKENS_GUESS)
    for _ in range(200):
        of.notice(1000)
    assert of.expect(10, 0, FREE) == Use(1010)


def test_other_limits_keep_what_was_used() -> None:
    of = account(requests_per_minute=4, tokens_per_day=100)
    for _ in range(3):
        of.admit(Use(10), NOON)
    of.revise(KeyLimitSpec(requests_per_minute=2, tokens_per_minute=50, tokens_per_day=30), NOON)
    assert of.requests(NOON) == Standing(2, 0, 90.0)
    assert of.tokens(NOON) == Standing(50, 50, 0.0)
    assert of.admit(Use(1), NOON) is not None
    of.revise(KeyLimitSpec(tokens_per_day=31), NOON)
    assert of.requests(NOON) is None
    assert of.admit(Use(1), NOON) is None
    of.revise(KeyLimitSpec(), NOON)
    assert of.tokens(NOON) is None


@pytest.mark.parametrize(
    ("spec", "is_limited", "counts_days"),
    [
        (KeyLimitSpec(), False, False),
        (KeyLimitSpec(in_flight_max=1), True, False),
        (KeyLimitSpec(spend_per_day=0.5), True, True),
    ],
)
def test_only_who_has_a_limit_is_counted(spec: KeyLimitSpec, is_limited: bool, counts_days: bool) -> None:
    assert (spec.is_limited, spec.counts_days) == (is_limited, counts_days)


# ---- laws ------------------------------------------------------------------------------------------------------------

steps = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 300), st.integers(0, 300)), max_size=40)


@given(steps, st.integers(1, 500), st.integers(1, 30), st.integers(1, 5))
def test_within_any_minute_no_more_passes_than_twice_the_limits_and_a_refusal_says_when(
    steps: list[tuple[float, int, int]], tokens: int, requests: int, at_once: int
) -> None:
    of = Account(KeyLimitSpec(requests, tokens, at_once), NOON)
    now, passed, under_way = NOON, [], []
    for after_s, expected, used in steps:
        now += after_s
        excess = of.admit(Use(expected), now)
        if excess is None:
            passed.append(now)
            under_way.append((Use(expected), Use(used)))
        elif "at once" in excess.limit:
            of.settle(*under_way.pop(0), now)
        else:
            assert excess.wait_s > 0
            now += excess.wait_s + 1e-3
            assert of.admit(Use(expected), now) is None
            passed.append(now)
            under_way.append((Use(expected), Use(used)))
        assert len(under_way) <= at_once
        assert sum(at > now - 60 for at in passed) <= 2 * requests
    for pair in under_way:
        of.settle(*pair, now)
    assert of.used.tokens >= 0


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 100), st.floats(-50, 200)), max_size=30))
def test_a_bucket_is_never_above_its_size_and_has_what_was_waited_for(
    size: int, steps: list[tuple[float, float]]
) -> None:
    bucket, now = Bucket(size, 0.0), 0.0
    for after_s, amount in steps:
        now += after_s
        wait_s = bucket.wait_s(amount, now)
        assert 0 <= wait_s < inf
        assert bucket.level(now + wait_s) >= min(amount, size) - 1e-6
        bucket.take(amount, now)
        assert bucket.level(now) <= size
