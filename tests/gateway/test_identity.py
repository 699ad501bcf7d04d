"""R16: a replica that answers as another model: the client gets 502, and the fleet learns that it is a stranger."""

import json

import pytest

from tests.gateway.scripted import DONE, FINISH, HELLO, Exchange, event, scene
from tests.wire.raw import until
from toque.gateway.identity import is_from_another
from toque.model.messages import Failed, Finished
from toque.model.ticket import FailureKind
from toque.ports import Dialect

CHAT = frozenset({"/chat/completions"})
FIELDS = frozenset({"messages", "stream_options"})
STREAMED = {"chat": Dialect(CHAT, FIELDS, names_itself=True)}
COLLECTED = {"chat": Dialect(CHAT, FIELDS, streams_only=True, names_itself=True)}
ANY = {"chat": Dialect(CHAT, FIELDS)}


def answering_as(model: str) -> tuple[bytes, ...]:
    """A whole stream, each event of which carries this name."""
    named = [event({"content": text}, model=model) for text in ("a", "b")]
    return (*named, event({}, "stop", model=model), DONE)


@pytest.mark.parametrize(("dialects", "streams"), [(STREAMED, True), (COLLECTED, False)])
async def test_r16_an_answer_of_another_model_reaches_nobody(dialects: dict[str, Dialect], streams: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.stream(*answering_as("llama-70b"))

    async with scene(answer, dialects=dialects) as story:
        story.ask({**HELLO, "stream": streams})
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (502, "upstream_invalid_response")
        assert "llama-70b" not in str(reply.error["message"])
        await until(lambda: story.fleet.events)
        assert [(told.kind, told.began) for told in story.fleet.events if isinstance(told, Failed)] == [
            (FailureKind.STRANGER, False)
        ]


@pytest.mark.parametrize(("dialects", "name"), [(STREAMED, "chat"), (ANY, "gpt-4o-2024-08-06")])
async def test_an_answer_under_the_right_name_or_of_a_model_with_many_names_passes(
    dialects: dict[str, Dialect], name: str
) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.stream(*answering_as(name))

    async with scene(answer, dialects=dialects) as story:
        story.ask({**HELLO, "stream": True})
        assert (await story.client.answer()).body.endswith(DONE)
        await until(lambda: any(isinstance(told, Finished) for told in story.fleet.events))


@pytest.mark.parametrize(
    ("answer", "strange"),
    [
        (b'data: {"id":"x","model":"chat","choices":[]}', False),
        (b'data: {"model" : "org\\/chat"}', True),
        (b'data: {"model":"other"}', True),
        (b'data: {"id":"x"}', False),
        (b'data: {"choices":[{"delta":{"content":"\\"model\\":\\"other\\""}}],"model":"chat"}', False),
        (FINISH, False),
    ],
)
def test_r16_only_the_name_of_the_answer_itself_counts(answer: bytes, strange: bool) -> None:
    assert is_from_another(answer, b"chat") is strange


def test_r16_a_slash_may_be_written_in_two_ways() -> None:
    assert not is_from_another(json.dumps({"model": "org/chat"}).replace("/", "\\/").encode(), b"org/chat")
