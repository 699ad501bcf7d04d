"""The contract over HTTP, against a scripted replica: what is asked, and what becomes of every answer that is none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from toque.agents.answer_body import AnswerError
from toque.agents.http import MESSAGE_CHARS_MAX, HttpAgent
from toque.model.agent_spec import Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError, ToqueError, UpstreamError
from toque.model.inference import Completion, Delta, FinishReason, Message, PromptContext, SamplingParameters, Usage
from toque.model.ticket import FailureKind

KEY = "sk-CANARY"
HI = PromptContext(messages=[Message("user", "Hi")])
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"


class Scripted:
    """A replica that gives one answer to every call, and remembers what it was asked."""

    def __init__(self, answer: bytes, *, holds: bool = False) -> None:
        self.answer = answer
        self.holds = holds
        self.heads: list[str] = []
        self.bodies: list[dict[str, object]] = []
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[16:]) for line in head.splitlines() if line.startswith("content-length: "))
            self.heads.append(head)
            self.bodies.append(json.loads(await reader.readexactly(length)))
            writer.write(self.answer)
            if self.holds:
                await reader.read()
                self.left.set()
        except ConnectionError:
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def speaking_to(replica: Scripted) -> AsyncIterator[HttpAgent]:
    server = await asyncio.start_server(replica.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    agent = HttpAgent(Endpoint("127.0.0.1", port, key=Secret(KEY)), "their-name")
    try:
        yield agent
    finally:
        await agent.close()
        server.close()
        await server.wait_closed()


def events(*chunks: dict[str, object] | bytes) -> bytes:
    lines = [chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() for chunk in chunks]
    return STREAM_HEAD + b"".join(b"data: %b\n\n" % line for line in lines)


def piece(reason: str | None = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def plain(status: int, body: bytes, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Because", "content-type: application/json", f"content-length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


USAGE: dict[str, object] = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
WHOLE = events(piece(content="Hel", role="assistant"), piece(content="lo"), piece("stop"), USAGE, b"[DONE]")


async def asked(answer: bytes, context: PromptContext = HI) -> Completion:
    async with speaking_to(Scripted(answer)) as agent:
        return await agent.generate(context)


async def failure(answer: bytes) -> ToqueError:
    with pytest.raises(ToqueError) as raised:
        await asked(answer)
    return raised.value


async def test_a_whole_answer_is_put_together_from_its_pieces() -> None:
    assert await asked(WHOLE) == Completion("Hello", FinishReason.STOP, Usage(3, 2), ())


async def test_the_request_carries_what_was_set_and_nothing_else() -> None:
    replica = Scripted(WHOLE)
    tool = {"type": "function", "function": {"name": "f"}}
    async with speaking_to(replica) as agent:
        await agent.generate(HI)
        await agent.generate(
            PromptContext(
                messages=[Message("system", "Be brief."), Message("tool", "x", tool_call_id="call-1")],
                sampling=SamplingParameters(temperature=0.5, max_tokens=7, stop=("\n",), seed=1, extra={"top_k": 3}),
                tools=[tool],
                tool_choice="auto",
                response_format={"type": "json_object"},
            )
        )
        await agent.generate(PromptContext(prompt="Once"))
    asks_for_stream = {"model": "their-name", "stream": True, "stream_options": {"include_usage": True}}
    first, second, third = replica.bodies
    assert first == {"messages": [{"role": "user", "content": "Hi"}], **asks_for_stream}
    assert second == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "tool", "content": "x", "tool_call_id": "call-1"},
        ],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["\n"],
        "seed": 1,
        "top_k": 3,
        "tools": [tool],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
        **asks_for_stream,
    }
    assert third == {"prompt": "Once", **asks_for_stream}
    assert [head.split()[1] for head in replica.heads] == ["/v1/chat/completions"] * 2 + ["/v1/completions"]
    assert all(f"authorization: Bearer {KEY}\r\n" in head for head in replica.heads)


async def test_tool_calls_are_put_together_from_their_fragments() -> None:
    def fragment(index: int, **content: object) -> dict[str, object]:
        return piece(tool_calls=[{"index": index, **content}])

    completion = await asked(
        events(
            fragment(0, id="a", type="function", function={"name": "add", "arguments": ""}),
            fragment(0, function={"arguments": '{"x":'}),
            fragment(1, id="b", type="function", function={"name": "sub", "arguments": "{}"}),
            fragment(0, function={"arguments": "1}"}),
            piece("tool_calls"),
            b"[DONE]",
        )
    )
    assert completion.finish_reason is FinishReason.TOOL_CALLS
    assert completion.tool_calls == (
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
    )


@pytest.mark.parametrize("end", [b"", b"[DONE]"])
async def test_u09_an_end_without_a_finish_reason_is_a_loss(end: bytes) -> None:
    error = await failure(events(piece(content="Hel"), *([end] if end else [])))
    assert isinstance(error, AnswerError)
    assert (error.kind, error.code) == (FailureKind.LOST, "upstream_lost")


async def test_an_answer_that_finished_counts_even_without_done() -> None:
    assert (await asked(events(piece("length", content="Hel")))).finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(events(piece(content="He"), b'{"choices":[{"del'), id="broken JSON"),
        pytest.param(events(piece("because", content="He")), id="unknown finish reason"),
        pytest.param(plain(200, b"<html>"), id="not a stream"),
        pytest.param(plain(200, b"").replace(b"application/json", b"text/html"), id="not JSON"),
        pytest.param(WHOLE.replace(b"connection: close", b"content-encoding: gzip\r\nconnection: close"), id="gzip"),
        pytest.param(STREAM_HEAD + b"data: " + b"x" * (2**20 + 1), id="endless line"),
    ],
)
async def test_u06_u08_u10_an_answer_that_is_none_is_invalid(answer: bytes) -> None:
    error = await failure(answer)
    assert isinstance(error, UpstreamError)
    assert (error.status, error.code) == (502, "upstream_invalid_response")


async def test_an_error_inside_a_stream_is_the_replicas_failure() -> None:
    error = await failure(events(piece(content="He"), {"error": {"message": "out of memory at 0xdead"}}))
    assert isinstance(error, AnswerError)
    assert error.kind is FailureKind.ERROR
    assert "0xdead" not in error.message


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_u05_what_the_replica_refuses_is_the_callers_fault(status: int) -> None:
    error = await failure(plain(status, b'{"error":{"message":"too long"}}'))
    assert isinstance(error, CallerError)
    assert (error.status, error.message) == (status, "too long")


@pytest.mark.parametrize("status", [401, 403])
async def test_u05_a_key_that_is_not_accepted_is_our_fault(status: int) -> None:
    error = await failure(plain(status, f'{{"error":{{"message":"bad key {KEY}"}}}}'.encode()))
    assert isinstance(error, AnswerError)
    assert error.status == 502
    assert KEY not in error.message


@pytest.mark.parametrize("status", [301, 408, 500, 502, 504])
async def test_u11_any_other_status_is_the_replicas_failure(status: int) -> None:
    error = await failure(plain(status, b"<html>", "location: http://127.0.0.1:9/"))
    assert isinstance(error, AnswerError)
    assert (error.status, error.kind) == (502, FailureKind.ERROR)


@pytest.mark.parametrize(("said", "wait_s"), [("2", 2.0), ("900", 60.0), ("Fri, 31 Dec 2999 23:59:59 GMT", 1.0)])
@pytest.mark.parametrize("status", [429, 503])
async def test_u01_u03_a_busy_replica_says_when_to_come_back(status: int, said: str, wait_s: float) -> None:
    error = await failure(plain(status, b"", f"retry-after: {said}"))
    assert isinstance(error, AnswerError)
    assert (error.status, error.kind, error.retry_after_s) == (status, FailureKind.BUSY, wait_s)


async def test_s18_a_replicas_message_is_passed_on_short_and_without_our_key() -> None:
    said = json.dumps({"error": {"message": f"{KEY} is wrong" + "x" * 10_000}}).encode()
    error = await failure(plain(400, said))
    assert error.message.startswith("*** is wrong")
    assert len(error.message) == MESSAGE_CHARS_MAX


async def test_closing_a_stream_closes_its_socket() -> None:
    replica = Scripted(events(piece(content="Hel")), holds=True)
    async with speaking_to(replica) as agent, asyncio.timeout(5):
        async with aclosing(agent.stream(HI)) as deltas:
            assert await anext(deltas) == Delta("Hel")
        await replica.left.wait()


async def test_cancelling_a_pending_answer_closes_its_socket() -> None:
    replica = Scripted(b"", holds=True)
    async with speaking_to(replica) as agent, asyncio.timeout(5):
        pending = asyncio.ensure_future(agent.generate(HI))
        while not replica.bodies:
            await asyncio.sleep(0)
        pending.cancel()
        await replica.left.wait()


@pytest.mark.parametrize("answer", [b"", events(piece(content="Hel"))])
async def test_an_answer_that_takes_longer_than_allowed_is_given_up(answer: bytes) -> None:
    replica = Scripted(answer, holds=True)
    async with speaking_to(replica) as agent, asyncio.timeout(5):
        with pytest.raises(AnswerError) as raised:
            await agent.generate(PromptContext(messages=HI.messages, timeout_s=0.05))
        await replica.left.wait()
    assert (raised.value.status, raised.value.kind) == (504, FailureKind.TIMEOUT)


async def test_embeddings_come_in_the_order_of_their_texts() -> None:
    body = b'{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":[1.0]}]}'
    async with speaking_to(Scripted(plain(200, body))) as agent:
        assert await agent.embed(["a", "b"]) == [[1.0], [2.0]]


@pytest.mark.parametrize("body", [b"{}", b'{"data":[]}', b"[" * 100_000])
async def test_embeddings_that_are_not_all_there_are_invalid(body: bytes) -> None:
    async with speaking_to(Scripted(plain(200, body))) as agent:
        with pytest.raises(AnswerError, match="embedding"):
            await agent.embed(["a"])


async def test_a_replica_that_is_not_there_is_lost() -> None:
    agent = HttpAgent(Endpoint("127.0.0.1", 1), "model")
    with pytest.raises(UpstreamError):
        await agent.generate(HI)
    await agent.close()
