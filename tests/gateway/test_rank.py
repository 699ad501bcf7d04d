"""O07 and ranks: who asks for a class or a priority, in which words, what the key lets it have, and how the answer tells."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.scripted import (
    DONE,
    FINISH,
    HELLO,
    PLAIN,
    TOKENS,
    Exchange,
    answer_in_tokens,
    answer_plainly,
    scene,
)
from tests.wire.raw import until
from toque.gateway.rank import Rank, Rights, Wish, find_rank, read_urgency
from toque.gateway.telling import name_tier
from toque.model.service_spec import KeySpec
from toque.model.ticket import RefusalReason, ServiceClass

BATCH, INTERACTIVE = ServiceClass.BATCH, ServiceClass.INTERACTIVE
USUAL = Rights(Rank(INTERACTIVE, 3), best=3)
SOON = Rights(Rank(INTERACTIVE, 3), best=1)


def key(name: str, **rights: object) -> KeySpec:
    return KeySpec(name, hashlib.sha256(name.encode()).hexdigest(), **rights)  # type: ignore[arg-type]


# ---- what is asked, and what is had ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "rights", "rank", "told"),
    [
        ("flex", USUAL, Rank(BATCH, 3), "flex"),
        ("default", SOON, Rank(INTERACTIVE, 3), "default"),
        ("scale", SOON, Rank(INTERACTIVE, 3), "default"),
        ("priority", SOON, Rank(INTERACTIVE, 1), "priority"),
        ("fast", SOON, Rank(INTERACTIVE, 1), "priority"),
        ("fast", Rights(Rank(INTERACTIVE, 3), best=2), Rank(INTERACTIVE, 2), "priority"),
        ("priority", USUAL, Rank(INTERACTIVE, 3), "default"),
        ("priority", Rights(Rank(BATCH, 5), best=3), Rank(BATCH, 3), "flex"),
        ("auto", Rights(Rank(INTERACTIVE, 1), best=1), Rank(INTERACTIVE, 1), "priority"),
    ],
)
def test_o07_a_tier_is_had_as_far_as_the_key_goes(tier: str, rights: Rights, rank: Rank, told: str) -> None:
    assert find_rank(rights, Wish(tier, None), None) == rank
    assert rank.tier == told


def test_the_first_word_that_says_something_counts() -> None:
    free = Rights(Rank(INTERACTIVE, 4), best=0)
    assert find_rank(free, Wish("default", -3), 7).priority == 3
    assert find_rank(free, Wish("auto", -3), 7).priority == 7
    assert find_rank(free, Wish("", -3), None).priority == 0
    assert find_rank(free, Wish("", 2), None).priority == 5
    assert find_rank(free, Wish("", 2**31 - 1), None).priority == 7
    assert find_rank(free, Wish("auto", None), None).priority == 4
    assert find_rank(free, None, 0).priority == 0


@given(
    st.sampled_from(["", "auto", "default", "flex", "scale", "priority", "fast"]),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 7),
    st.sampled_from(ServiceClass),
)
def test_o07_no_words_take_a_request_above_its_key(
    tier: str, nudge: int | None, urgency: int | None, usual: int, best: int, service_class: ServiceClass
) -> None:
    rights = Rights(Rank(service_class, usual), min(usual, best))
    rank = find_rank(rights, Wish(tier, nudge), urgency)
    assert rights.best <= rank.priority <= 7
    assert rank.service_class is BATCH or service_class is INTERACTIVE


@pytest.mark.parametrize(
    ("field", "urgency"),
    [
        (b"u=0", 0),
        (b"u=5, i", 5),
        (b"i, u=7", 7),
        (b"i,u=2;x=1", 2),
        (b"u=8", None),
        (b"u=12", None),
        (b"menu=1", None),
        (b"u=-1", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_priority_field_is_read_as_rfc_9218_has_it(field: bytes | None, urgency: int | None) -> None:
    assert read_urgency(field) == urgency


# ---- what the answer tells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"id":"x"}\n', b'{"id":"x","service_tier":"flex"}\n'),
        (b'{"id":"x","service_tier": null,"n":1}', b'{"id":"x","service_tier":"flex","n":1}'),
        (b'{"service_tier":"scale"}', b'{"service_tier":"scale"}'),
        (b'{"content":"\\"service_tier\\":"}', b'{"content":"\\"service_tier\\":","service_tier":"flex"}'),
        (b"[DONE]", b"[DONE]"),
    ],
)
def test_a_tier_is_put_into_an_object_once(body: bytes, told: bytes) -> None:
    assert name_tier(body, b"flex") == told


async def test_o07_a_claim_without_the_right_is_served_as_usual_and_the_answer_says_so() -> None:
    keys = (key("alice"), key("carol", priority_best=0, share=2.0))
    async with scene(answer_plainly, keys=keys) as story:
        for name, tier in (("alice", "default"), ("carol", "priority")):
            story.ask(HELLO | {"service_tier": "priority"}, fields=f"Authorization: Bearer {name}\r\n")
            answer = await story.client.answer()
            assert json.loads(answer.body) == {**PLAIN, "service_tier": tier}
            assert answer.fields["x-toque-tier"] == tier
        assert [(t.priority, t.share) for t in story.fleet.tickets.values()] == [(3, 1.0), (1, 2.0)]
        assert "service_tier" not in story.requests[0].body


async def test_who_asks_by_header_or_number_is_told_by_header_and_who_does_not_ask_is_told_nothing() -> None:
    async with scene(answer_plainly, keys=(key("alice", priority=5, priority_best=2),)) as story:
        for fields, more in (("Priority: u=0, i\r\n", {}), ("", {"priority": 1}), ("", {})):
            story.ask(HELLO | more, fields=f"X-Api-Key: alice\r\n{fields}")
            answer = await story.client.answer()
            assert json.loads(answer.body) == PLAIN
            assert answer.fields.get("x-toque-tier") == ("priority" if fields else "default" if more else None)
        assert [ticket.priority for ticket in story.fleet.tickets.values()] == [2, 4, 5]


async def test_a_stream_names_its_tier_in_the_first_chunk_and_is_otherwise_as_it_was() -> None:
    async with scene(answer_in_tokens, keys=(key("alice"),)) as story:
        story.ask(HELLO | {"stream": True, "service_tier": "flex"}, fields="X-Api-Key: alice\r\n")
        answer = await story.client.answer()
        first, rest = TOKENS[0].rstrip(), b"".join((*TOKENS[1:], FINISH, DONE))
        assert answer.body == first[:-1] + b',"service_tier":"flex"}\n\n' + rest
        assert answer.fields["x-toque-tier"] == "flex"
        assert story.fleet.tickets[1].service_class is BATCH


async def test_an_answer_too_large_to_hold_names_its_tier_in_the_head_alone() -> None:
    content = json.dumps({**PLAIN, "padding": "x" * 40_000}).encode()

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(content)

    async with scene(answer, stream_buffer_bytes=16_384) as story:
        story.ask(HELLO | {"service_tier": "priority"})
        reply = await story.client.answer()
        assert (reply.body, reply.fields["x-toque-tier"]) == (content, "priority")


# ---- flex without room, and what a ticket says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "reason", "status", "code"),
    [
        ("flex", RefusalReason.QUEUE_FULL, 429, "resource_unavailable"),
        ("flex", RefusalReason.QUEUE_TIMEOUT, 429, "resource_unavailable"),
        ("flex", RefusalReason.DRAINING, 503, "draining"),
        ("default", RefusalReason.QUEUE_FULL, 503, "queue_full"),
    ],
)
async def test_flex_without_room_is_429_which_its_clients_wait_for(
    tier: str, reason: RefusalReason, status: int, code: str
) -> None:
    async with scene(answer_plainly, holds=True) as story:
        story.ask(HELLO | {"service_tier": tier})
        await until(lambda: story.fleet.waiters)
        story.fleet.waiters[1].refused(reason, 2.0, "")
        answer = await story.client.answer()
        assert (answer.status, answer.error["code"], answer.fields["retry-after"]) == (status, code, "2")
        assert (story.records.served[0].status, story.records.served[0].outcome) == (status, code)


@pytest.mark.parametrize(("streams", "whole_tokens_max"), [(False, 100), (True, 0)])
async def test_a_ticket_says_what_its_request_may_cost(streams: bool, whole_tokens_max: int) -> None:
    long = {**HELLO, "messages": [{"role": "user", "content": "x" * 4000}], "max_tokens": 50, "n": 2}
    async with scene(answer_in_tokens if streams else answer_plainly) as story:
        story.ask({**long, "stream": streams})
        assert (await story.client.answer()).status == 200
        ticket = story.fleet.tickets[1]
        assert 1000 <= ticket.prompt_tokens <= 1040
        assert (ticket.whole_tokens_max, ticket.output_tokens_max) == (whole_tokens_max, 100)
