"""O08 at the door: a key that had its part is told 429, when to come again and how far its limits are used up."""

import hashlib
import json

import pytest

from tests.gateway.scripted import HELLO, Exchange, Scene, answer_in_tokens, answer_plainly, post, scene
from tests.wire.raw import Answer, raw, until
from toque.gateway.accounts import told_s
from toque.model.fallback_spec import PriceSpec
from toque.model.service_spec import KeySpec
from toque.model.ticket import ServiceClass
from toque.model.usage import KeyLimitSpec

FIELDS = "X-Api-Key: alice\r\n"
SMALL = {**HELLO, "max_tokens": 10}
PROMPT_TOKENS = len(json.dumps(SMALL, separators=(",", ":"))) // 4


def keys(**limits: float) -> tuple[KeySpec, ...]:
    known = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("alice", "bob")]
    (alice, his), (bob, hers) = known
    return KeySpec(alice, his, limits=KeyLimitSpec(**limits)), KeySpec(bob, hers)  # type: ignore[arg-type]


async def asked(story: Scene, fields: str = FIELDS, **more: object) -> Answer:
    story.ask(SMALL | more, fields=fields)
    return await story.client.answer()


async def settled(story: Scene, count: int) -> None:
    await until(lambda: len(story.records.served) == count)


async def test_o08_a_tenant_that_asks_too_often_gets_429_and_others_do_not_notice() -> None:
    async with scene(answer_plainly, keys=keys(requests_per_minute=2)) as story:
        first, second, third = [await asked(story) for _ in range(3)]
        assert [answer.fields["x-ratelimit-remaining-requests"] for answer in (first, second)] == ["1", "0"]
        assert first.fields["x-ratelimit-limit-requests"] == "2"
        assert first.fields["x-ratelimit-reset-requests"] == "30s"
        assert (third.status, third.error["type"], third.error["code"]) == (
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
        )
        assert "2 requests a minute" in str(third.error["message"])
        assert third.fields["retry-after"] == "30"
        assert third.fields["x-ratelimit-remaining-requests"] == "0"
        other = await asked(story, "X-Api-Key: bob\r\n")
        assert other.status == 200
        assert not [name for name in other.fields if name.startswith("x-ratelimit")]
        assert len(story.fleet.tickets) == 3, "a refusal at the door has made no ticket"
        refused = story.records.served[2]
        assert (refused.status, refused.outcome, refused.tenant, refused.model) == (
            429,
            "rate_limit_exceeded",
            "alice",
            "chat",
        )


async def test_tokens_are_set_aside_as_asked_and_counted_as_taken() -> None:
    async with scene(answer_plainly, keys=keys(tokens_per_minute=1000)) as story:
        answer = await asked(story)
        assert int(answer.fields["x-ratelimit-remaining-tokens"]) == 1000 - PROMPT_TOKENS - 10
        assert "x-ratelimit-limit-requests" not in answer.fields
        await settled(story, 1)
        answer = await asked(story, max_tokens=900)
        assert answer.status == 200
        assert 1000 - 8 - 900 - PROMPT_TOKENS - 1 <= int(answer.fields["x-ratelimit-remaining-tokens"]) < 90
        await settled(story, 2)
        refused = await asked(story, max_tokens=1000)
        assert refused.status == 429
        assert refused.fields["retry-after"] == "1"
        assert 0 < int(refused.fields["retry-after-ms"]) < 1000


async def test_a_stream_has_the_fields_and_is_counted_too() -> None:
    async with scene(answer_in_tokens, keys=keys(tokens_per_minute=1000, requests_per_minute=9)) as story:
        answer = await asked(story, stream=True)
        assert answer.fields["x-ratelimit-remaining-requests"] == "8"
        assert b"service_tier" not in answer.body
        await settled(story, 1)
        answer = await asked(story, stream=True)
        assert 940 < int(answer.fields["x-ratelimit-remaining-tokens"]) < 970, "less 7 of the first, and this guess"


async def test_requests_at_once_are_counted_until_they_end_however_they_end() -> None:
    async with (
        scene(answer_plainly, keys=keys(in_flight_max=1), holds=True) as story,
        raw(story.gateway.port) as other,
    ):
        story.ask(SMALL, fields=FIELDS)
        await until(lambda: story.fleet.tickets)
        other.send(post(SMALL, fields=FIELDS))
        refused = await other.answer()
        assert (refused.status, refused.fields["retry-after"]) == (429, "1")
        assert not [name for name in refused.fields if name.startswith("x-ratelimit")]
        story.client.writer.close()
        await settled(story, 2)
        other.send(post(SMALL, fields=FIELDS))
        await until(lambda: len(story.fleet.tickets) == 2)
        story.fleet.grant(2)
        assert (await other.answer()).status == 200


async def fail(exchange: Exchange) -> None:
    await exchange.answer(b'{"error":{"message":"no"}}', 500)


async def test_what_got_no_answer_costs_no_tokens() -> None:
    async with scene(fail, keys=keys(tokens_per_minute=1000)) as story:
        for _ in range(2):
            assert (await asked(story, max_tokens=900)).status == 502
        await settled(story, 2)
        assert (await asked(story, max_tokens=900)).status == 502


async def test_who_leaves_in_the_middle_has_taken_what_was_expected() -> None:
    async def never(exchange: Exchange) -> None:
        await exchange.gone()

    async with scene(never, keys=keys(tokens_per_minute=1000)) as story, raw(story.gateway.port) as other:
        story.ask(SMALL | {"max_tokens": 980 - PROMPT_TOKENS}, fields=FIELDS)
        await until(lambda: story.requests)
        story.client.writer.close()
        await settled(story, 1)
        other.send(post(SMALL, fields=FIELDS))
        assert (await other.answer()).status == 429


async def test_a_kept_answer_and_a_mismatch_take_nothing_but_a_request() -> None:
    once = FIELDS + "Idempotency-Key: order-17\r\n"
    async with scene(answer_plainly, keys=keys(tokens_per_minute=1000, in_flight_max=1)) as story:
        for _ in range(3):
            assert (await asked(story, once, max_tokens=900)).status == 200
        assert (await asked(story, once, max_tokens=901)).status == 422
        assert (await asked(story, max_tokens=900)).status == 200


# ---- the day ---------------------------------------------------------------------------------------------------------


async def test_a_days_budget_that_is_used_up_is_nothing_to_wait_for() -> None:
    async with scene(answer_plainly, keys=keys(tokens_per_day=8)) as story:
        first = await asked(story)
        assert (first.status, first.fields["x-ratelimit-limit-tokens"]) == (200, "8")
        await settled(story, 1)
        refused = await asked(story)
        assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")
        assert refused.fields["x-should-retry"] == "false"
        assert refused.fields["x-ratelimit-remaining-tokens"] == "0"
        assert "midnight UTC" in str(refused.error["message"])


async def test_money_is_counted_by_the_price_of_the_model_that_answered() -> None:
    prices = {"chat": PriceSpec(output=1e6)}
    async with scene(answer_plainly, keys=keys(spend_per_day=9.0), prices=prices) as story:
        for count, status in enumerate((200, 200, 429), start=1):
            assert (await asked(story, max_tokens=4)).status == status
            await settled(story, count)


async def test_an_item_of_a_batch_waits_for_the_next_day_and_knows_no_minutes() -> None:
    body = json.dumps(SMALL).encode()
    limits = keys(requests_per_minute=1, in_flight_max=1, tokens_per_day=16)
    async with scene(answer_plainly, keys=limits) as story:
        answers = [
            await story.gateway.inside.answer("alice", "/v1/chat/completions", body, lambda: None, lambda: None)
            for _ in range(3)
        ]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert (answers[2].is_capacity, answers[2].retry_after_s) == (True, 60.0)
        assert {ticket.service_class for ticket in story.fleet.tickets.values()} == {ServiceClass.BATCH}


# ---- how it is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait_s", "told"),
    [(0.0, "0s"), (0.017, "17ms"), (1.2, "1s"), (59.6, "1m0s"), (360.0, "6m0s"), (46_805.0, "13h0m5s")],
)
def test_a_reset_is_told_as_openai_tells_it(wait_s: float, told: str) -> None:
    assert told_s(wait_s) == told
