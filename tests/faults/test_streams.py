"""U06, U07, U09, U13, U14: what upstreams do to streams and to connections, through the real gateway."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.service import Service, request, serving
from tests.wire.raw import raw
from toque.model.inference import Usage
from toque.testing import (
    Answer,
    At,
    Corrupt,
    Cut,
    Ending,
    FakeEngine,
    FaultProxy,
    Faults,
    Kill,
    Split,
    in_background,
    stream_of,
)
from toque.testing.faults import Plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GOOD = stream_of("Grüße", ", ", "世界", usage=Usage(3, 4))
TRIES = 10_000
CLIENTS = 8
SETTINGS = """
[models.chat]
agent = "openai"
url = "{url}"
slots = 64
breaker = {{ failures_in_a_row = 100000, answers_min = 100000 }}  # it has tests of its own
[limits]
inter_token_s = 2.0
"""


@contextmanager
def before(script: Iterable[Answer], tmp_path: Path, plan: Plan | None = None) -> Iterator[tuple[Service, FakeEngine]]:
    """A service before a fake engine, with a fault proxy between them where there is a plan."""
    with ExitStack() as stack:
        engine = stack.enter_context(in_background(FakeEngine(script)))
        url = engine.url
        if plan is not None:
            proxy = stack.enter_context(in_background(FaultProxy(engine.host, engine.port, plan)))
            url = f"{proxy.url}/v1"
        yield stack.enter_context(serving(tmp_path, SETTINGS.format(url=url))), engine


def streamed(service: Service) -> tuple[list[str], bytes]:
    """Ask for a stream with its usage; the data of its events, and its bytes."""
    stream = service.stream(stream_options={"include_usage": True})
    try:
        assert stream.response.status == 200
        content = stream.response.read()
    finally:
        stream.close()
    return [line[6:].decode() for line in content.splitlines() if line.startswith(b"data: ")], content


def ends_with_error(events: Sequence[str], code: str) -> None:
    error = json.loads(events[-1])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "[DONE]" not in events


@pytest.mark.parametrize("broken", [b'data: {"choices":[{"ind\n\n', b"data: {]}\n\n", b"data: \xff\xfe\n\n"])
def test_u06_events_before_broken_json_are_delivered_and_then_an_error(tmp_path: Path, broken: bytes) -> None:
    with before([Answer(pieces=[*GOOD[:2], broken, *GOOD[2:]])], tmp_path) as (service, _):
        events, content = streamed(service)
        assert content.startswith(b"".join(GOOD[:2]))
        assert len(events) == 3
        ends_with_error(events, "upstream_invalid_response")
        service.idle()
        assert streamed(service)[0][-1] == "[DONE]"


def test_an_error_event_in_a_good_status_is_a_failure_and_tells_nothing_of_the_upstream(tmp_path: Path) -> None:
    told = b'data: {"error":{"message":"CUDA error at http://10.0.0.7:8000/v1","type":"server_error","code":500}}\n\n'
    with before([Answer(pieces=[*GOOD[:2], told, GOOD[-1]])], tmp_path) as (service, _):
        events, content = streamed(service)
        assert len(events) == 3
        ends_with_error(events, "upstream_lost")
        assert b"10.0.0.7" not in content
        assert b"CUDA" not in content
        service.idle()


def test_u07_a_stream_split_at_every_byte_arrives_byte_by_byte_the_same(tmp_path: Path) -> None:
    text = b": hello\n\n" + b"".join(GOOD)
    kinds = [text, text.replace(b"\n", b"\r\n"), b'data: {"choices":\ndata: []}\n\n' + text]
    cuts = [(kind, at) for kind in kinds for at in range(1, len(kind))]
    script = [
        Answer(pieces=[kind[:at], kind[at:]], content_type="text/event-stream", gap_s=0.0005) for kind, at in cuts
    ]
    with before(script, tmp_path) as (service, engine):
        for kind, at in cuts:
            assert streamed(service)[1] == kind, f"split at {at}"
        assert len(engine.requests) == len(cuts) > 1000


def test_u07_a_connection_split_at_every_byte_arrives_the_same(tmp_path: Path) -> None:
    split = Faults(to_client=(Split(),), to_server=(Split(every=3),))
    with before([Answer(pieces=GOOD), Answer(200)], tmp_path, lambda _: split) as (service, _):
        assert streamed(service)[1] == b"".join(GOOD)
        assert service.ask()[0] == 200


@pytest.mark.parametrize("fault", [Cut, Kill])
def test_u09_a_stream_cut_anywhere_ends_with_an_error_or_is_asked_for_again(
    tmp_path: Path, fault: type[Cut | Kill]
) -> None:
    """A connection that ends before the first event may be tried again; after it there is an error event, never an end."""
    points = range(0, 700, 9)
    plans = [Faults(to_client=(fault(At(point)),)) for point in points]
    with before((), tmp_path, lambda number: plans[number] if number < len(plans) else Faults()) as (service, _):
        outcomes = set()
        for _ in points:
            stream = service.stream()
            events = list(stream.events()) if stream.response.status == 200 else ["refused"]
            stream.close()
            assert events[-1] in {"[DONE]", "refused"} or "upstream_lost" in events[-1]
            outcomes.add(events[-1] if len(events[-1]) < 9 else "error")
        assert {"[DONE]", "error"} <= outcomes
        service.idle()


def test_u06_a_corrupted_answer_is_never_passed_on_as_a_good_one(tmp_path: Path) -> None:
    plan = [Faults(to_client=(Corrupt(At(after, b"data: "), mask=0x80),)) for after in range(40)]
    script = [Answer(pieces=GOOD)] * 200
    with before(script, tmp_path, lambda number: plan[number % len(plan)]) as (service, _):
        for _ in plan:
            stream = service.stream()
            if stream.response.status == 200:
                for event in stream.events():
                    assert event == "[DONE]" or json.loads(event)
            stream.close()


def test_u14_a_connection_that_closes_just_as_it_is_used_again_costs_no_client_an_error(tmp_path: Path) -> None:
    """Every connection to the upstream ends as its second request arrives, half of them with FIN and half with RST."""
    second = At(mark=b"POST ", times=2)
    plans = (Faults(to_server=(Kill(second),)), Faults(to_server=(Cut(second),)))
    with before((), tmp_path, lambda number: plans[number % 2]) as (service, engine):
        statuses = asyncio.run(ask_many(service))
        assert statuses == {200}
        assert len(engine.requests) >= engine.requests.maxlen  # type: ignore[operator]
        service.idle()


async def ask_many(service: Service) -> set[int]:
    """TRIES plain requests over a few connections; the statuses that came."""
    body = request(max_tokens=1)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
    )
    ask, port = head.format(len(body)).encode() + body, int(service.url.rpartition(":")[2])

    async def one_client() -> set[int]:
        statuses = set()
        async with raw(port) as client:
            for _ in range(TRIES // CLIENTS):
                client.send(ask)
                statuses.add((await client.answer()).status)
        return statuses

    return set.union(*await asyncio.gather(*(one_client() for _ in range(CLIENTS))))


def test_u13_what_no_http_parser_understands_is_one_kind_of_failure(tmp_path: Path) -> None:
    heads = [b"HTTP/1.1 200\r\n\r\n", b"HELLO\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"]
    script = [Answer(head=head, ending=Ending.CLOSE) for head in heads]
    with before(script, tmp_path) as (service, _):
        for _ in heads:
            status, _, body = service.ask()
            assert status == 502
            assert body["error"]["type"] == "upstream_error"
        assert service.ask()[0] == 200
