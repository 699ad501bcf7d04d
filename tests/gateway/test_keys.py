"""Keys over time: they expire, also on a connection that is open; a rotated key is accepted for its grace; none is none."""

import asyncio
import hashlib
from math import inf

import pytest

from tests.gateway.scripted import HELLO, Scene, answer_plainly, scene
from tests.wire.raw import Answer
from toque.gateway.accounts import Accounts
from toque.gateway.auth import KeyRing
from toque.model.errors import CallerError
from toque.model.service_spec import KeySpec


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def now() -> float:
    return asyncio.get_running_loop().time()


async def ask(story: Scene, key: str) -> Answer:
    story.ask(HELLO, fields=f"Authorization: Bearer {key}\r\n")
    return await story.client.answer()


async def refused_in_the_end(story: Scene, key: str) -> Answer:
    """Ask on one connection until the key is no longer accepted."""
    async with asyncio.timeout(20):
        while (answer := await ask(story, key)).status == 200:
            pass
    return answer


async def test_a_key_expires_even_while_its_connection_stays_open() -> None:
    keys = (
        KeySpec("alice", digest("hers"), expires_at=now() + 0.2),
        KeySpec("bob", digest("his"), expires_at=now() + 900),
    )
    async with scene(answer_plainly, keys=keys) as story:
        assert (await ask(story, "hers")).status == 200
        answer = await refused_in_the_end(story, "hers")
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert "expired" in str(answer.error["message"])
        assert (await ask(story, "his")).status == 200


async def test_a_rotated_key_is_accepted_for_its_grace_as_the_same_tenant() -> None:
    key = KeySpec("alice", digest("new"), former_sha256=digest("old"), former_until=now() + 0.2)
    async with scene(answer_plainly, keys=(key,)) as story:
        for sent in ("old", "new"):
            assert (await ask(story, sent)).status == 200
        assert {ticket.tenant for ticket in story.fleet.tickets.values()} == {"alice"}
        assert (await refused_in_the_end(story, "old")).status == 401
        assert (await ask(story, "new")).status == 200


def test_work_that_was_ordered_before_ends_with_the_key() -> None:
    clock = [100.0]
    ring = KeyRing(
        (KeySpec("alice", digest("a"), expires_at=200.0), KeySpec("bob", digest("b"))),
        accounts=Accounts(lambda: clock[0]),
    )
    assert ring.left_s(ring.find("alice")) == 100.0
    assert ring.left_s(ring.find("bob")) == inf
    clock[0] = 200.0
    with pytest.raises(CallerError):
        ring.find("alice")


def test_a_key_file_without_keys_lets_nobody_in() -> None:
    guarded = KeyRing((), is_guarded=True)
    for ask_for in (
        lambda: guarded.identify({}),
        lambda: guarded.identify({b"x-api-key": b""}),
        lambda: guarded.find("local"),
    ):
        with pytest.raises(CallerError) as caught:
            ask_for()
        assert caught.value.status == 401
    assert KeyRing(()).identify({}).tenant == "local"


async def test_another_priority_field_on_a_known_connection_counts() -> None:
    async with scene(answer_plainly) as story:
        for urgency in (1, 1, 6, 0):
            story.ask(HELLO, fields=f"Priority: u={urgency}\r\n")
            assert (await story.client.answer()).status == 200
        assert [ticket.priority for ticket in story.fleet.tickets.values()] == [1, 1, 6, 0]
