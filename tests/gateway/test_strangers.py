"""S17: unknown keys by address, in constant memory."""

from dataclasses import replace

import pytest

from toque.gateway.strangers import Strangers
from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec

REFUSAL = CallerError("This API key is not known here.", status=401)
KEY = {b"authorization": b"Bearer wrong"}
LIMITS = LimitSpec()


def test_s17_the_twenty_first_unknown_key_of_a_minute_gets_429_until_the_minute_is_over() -> None:
    strangers = Strangers()
    answers = [strangers.judge(REFUSAL, KEY, "192.0.2.1", LIMITS, 10.0 + n) for n in range(25)]
    assert [answer.status for answer in answers] == [401] * 20 + [429] * 5
    assert answers[20].retry_after_s == 40.0
    assert answers[20].code == "rate_limit_exceeded"
    assert strangers.judge(REFUSAL, KEY, "192.0.2.1", LIMITS, 70.0).status == 401


def test_s17_another_address_has_an_allowance_of_its_own_and_a_request_without_a_key_is_not_counted() -> None:
    strangers = Strangers()
    for _ in range(30):
        strangers.judge(REFUSAL, KEY, "192.0.2.1", LIMITS, 1.0)
        assert strangers.judge(REFUSAL, {}, "192.0.2.2", LIMITS, 1.0) is REFUSAL
    assert strangers.judge(REFUSAL, {b"x-api-key": b"wrong"}, "192.0.2.2", LIMITS, 1.0) is REFUSAL


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        ("2001:db8::1", "2001:db8::ffff", 429),
        ("2001:db8::1", "2001:db8:0:1::1", 401),
        ("::ffff:192.0.2.1", "192.0.2.1", 429),
        ("", "192.0.2.1", 401),
    ],
)
def test_s17_one_network_is_one_stranger(one: str, other: str, status: int) -> None:
    strangers = Strangers()
    for _ in range(20):
        strangers.judge(REFUSAL, KEY, one, LIMITS, 1.0)
    assert strangers.judge(REFUSAL, KEY, other, LIMITS, 1.0).status == status


def test_s17_a_million_addresses_take_no_more_memory_than_the_bound() -> None:
    strangers, limits = Strangers(), replace(LIMITS, bad_key_addresses_max=100)
    for number in range(3000):
        strangers.judge(REFUSAL, KEY, f"10.0.{number // 250}.{number % 250}", limits, 1.0)
    assert len(strangers) == 100
