"""The fake engine: honest where nobody scripts it, and exactly as wrong as its script wants it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from itertools import repeat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.wire.raw import raw, until
from toque.agents.fake import FakeAgent
from toque.model.agent_spec import Secret
from toque.model.inference import Usage
from toque.testing import Answer, Ending, FakeEngine, in_background, stream_of

ASK = b'{"model":"chat","messages":[{"role":"user","content":"Hi"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
REQUEST = HEAD % len(ASK) + ASK


async def test_without_a_script_it_answers_as_an_engine_should() -> None:
    async with FakeEngine(agent=FakeAgent(tokens=3)) as engine, raw(engine.port) as client:
        client.send(REQUEST)
        answer = await client.answer()
    assert json.loads(answer.body)["usage"]["completion_tokens"] == 3
    (received,) = engine.requests
    assert (received.method, received.target, received.body) == ("POST", "/v1/chat/completions", ASK)


async def test_a_script_is_played_in_order_and_then_the_model_speaks_again() -> None:
    script = [Answer(503, [b"{}"], {"retry-after": "2"}), Answer(pieces=stream_of("a", "b", usage=Usage(1, 2)))]
    async with FakeEngine(script) as engine, raw(engine.port) as client:
        client.send(REQUEST, REQUEST, REQUEST)
        busy, stream, natural = [await client.answer() for _ in range(3)]
    assert (busy.status, busy.fields["retry-after"], busy.body) == (503, "2", b"{}")
    assert stream.fields["content-type"] == "text/event-stream"
    assert stream.body.count(b"data: ") == 5
    assert b'"completion_tokens":2' in stream.body
    assert stream.body.endswith(b"data: [DONE]\n\n")
    assert natural.status == 200
    assert b"chat.completion" in natural.body


async def test_a_script_may_look_at_the_request() -> None:
    script = lambda request: Answer(404 if "models" in request.target else 200)  # noqa: E731
    async with FakeEngine(script) as engine, raw(engine.port) as client:
        client.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", REQUEST)
        assert [(await client.answer()).status for _ in range(2)] == [404, 200]


async def test_an_answer_can_hang_until_its_client_leaves() -> None:
    hanging = Answer(pieces=stream_of("a", is_done=False, finish=None), ending=Ending.HANG)
    async with FakeEngine([hanging]) as engine:
        async with raw(engine.port) as client:
            client.send(REQUEST)
            await client.head()
            assert b'"a"' in await client.chunk()
            assert engine.in_flight == 1
        await until(lambda: not engine.in_flight)
        assert engine.abandoned_count == 1


async def test_an_answer_can_be_closed_in_its_middle() -> None:
    async with FakeEngine([Answer(pieces=[b"data: half"], ending=Ending.CLOSE)]) as engine, raw(engine.port) as client:
        client.send(REQUEST)
        await client.head()
        assert await client.chunk() == b"data: half"
        assert await client.rest() == b""


async def test_a_head_is_sent_byte_for_byte_and_its_body_without_framing() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"
    async with FakeEngine([Answer(head=head, pieces=[b"short"])]) as engine, raw(engine.port) as client:
        client.send(REQUEST)
        assert await client.rest() == head + b"short"


async def test_an_endless_answer_waits_for_its_reader_and_ends_with_it() -> None:
    async with FakeEngine([Answer(pieces=repeat(b"x" * 65536))]) as engine:
        async with raw(engine.port) as client:
            client.send(REQUEST)
            await client.head()
        await until(lambda: not engine.in_flight)


async def test_its_key_is_wanted_where_it_has_one() -> None:
    async with FakeEngine(key=Secret("right")) as engine, raw(engine.port) as client:
        client.send(REQUEST)
        assert (await client.answer()).status == 401
        client.send(REQUEST.replace(b"host", b"authorization: Bearer right\r\nhost"))
        assert (await client.answer()).status == 200


async def test_nothing_of_it_is_left_after_its_block() -> None:
    async with FakeEngine([Answer(ending=Ending.HANG, pieces=[b"data: x"])]) as engine, raw(engine.port) as client:
        client.send(REQUEST)
        await client.head()
        before = asyncio.all_tasks()
    assert len(asyncio.all_tasks()) < len(before)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(engine.host, engine.port)


def ask(url: str) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("POST", "/v1/chat/completions", ASK, {"content-type": "application/json"})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_test_without_a_loop_has_it_in_the_background() -> None:
    with in_background(FakeEngine([Answer(418, [b"tea"])])) as engine:
        assert ask(engine.url) == (418, b"tea")


def test_what_cannot_begin_in_the_background_says_so() -> None:
    with (
        in_background(FakeEngine()) as engine,
        pytest.raises(OSError, match="in use"),
        in_background(FakeEngine(port=engine.port)),
    ):
        pass


def started(*arguments: str) -> Iterator[str]:
    argv = [sys.executable, "-m", "toque.testing", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_engine_and_proxy_run_as_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"status": 503, "pieces": ["{}"], "times": 2}]')
    for url in started("engine", "--script", str(script), "--tokens", "4"):
        address = urlsplit(url).netloc
        for proxied in started("proxy", "--to", address, "--fault", "cut", "--after", "100"):
            assert [ask(url)[0] for _ in range(3)] == [503, 503, 200]
            with pytest.raises(IncompleteRead):
                ask(proxied)
