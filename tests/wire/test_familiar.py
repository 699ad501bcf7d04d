"""Heads that came before: what is recognised means what it meant, and everything else is parsed."""

import pytest

from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec
from toque.wire.familiar import HEAD_BYTES_MAX, PATIENCE, FamiliarHead
from toque.wire.reader import RequestReader
from toque.wire.request import Request

HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Api-Key: %b\r\n\r\n"


def message(body: bytes, key: bytes = b"secret") -> bytes:
    return HEAD % (len(body), key) + body


def known(first: bytes, body_bytes: int) -> FamiliarHead[str]:
    head: FamiliarHead[str] = FamiliarHead()
    head.learn(first, body_bytes, "known")
    return head


def read(reader: RequestReader, data: bytes) -> list[Request | CallerError]:
    """What a connection makes of one read."""
    request = reader.recognise(data)
    if request is not None:
        return [request]
    reader.feed(data)
    found = list(reader.ready)
    reader.ready.clear()
    return found


def traced(request_id: bytes, trace: bytes = b"t-1", more: bytes = b"", body: bytes = b"hello") -> bytes:
    return (
        b"POST /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: %b\r\nTrace: %b\r\nX-Api-Key: secret%b\r\nContent-Length: %d\r\n\r\n%b"
        % (
            request_id,
            trace,
            more,
            len(body),
            body,
        )
    )


def test_a_head_is_recognised_whatever_the_length_of_its_body() -> None:
    head = known(message(b"hello"), 5)
    assert head.meaning == "known"
    assert head.body_of(message(b"hello")) == b"hello"
    assert head.body_of(message(b"x" * 1000)) == b"x" * 1000
    assert head.body_of(message(b"")) == b""


@pytest.mark.parametrize(
    "other",
    [
        message(b"hello", b"secreT"),
        message(b"hello")[:-1],
        message(b"hello") + b"P",
        message(b"hello") + message(b"hello"),
        message(b"hello").replace(b"POST", b"PUT"),
        message(b"hello").replace(b": 5", b": +5"),
        message(b"hello").replace(b": 5", b": "),
        message(b"hello").replace(b": 5\r", b": 5\n"),
        message(b"hello").replace(b": 5", b": 5, 5"),
        message(b"hello").replace(b": 5", b": 0000000000005"),
        message(b"hello")[:40],
        b"",
    ],
)
def test_what_differs_in_anything_else_or_is_not_exactly_one_message_is_left_to_the_parser(other: bytes) -> None:
    assert known(message(b"hello"), 5).body_of(other) is None


@pytest.mark.parametrize(
    "first",
    [
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nX: %b\r\n\r\nhello" % (b"x" * HEAD_BYTES_MAX),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"hello",
    ],
)
def test_a_head_that_tells_its_length_in_no_plain_way_is_not_learnt(first: bytes) -> None:
    assert known(first, 5).meaning is None


def test_a_connection_whose_heads_are_always_new_stops_to_learn_them() -> None:
    head: FamiliarHead[int] = FamiliarHead()
    for number in range(PATIENCE - 1):
        head.learn(message(b"hello", b"key-%d" % number), 5, number)
    assert head.body_of(message(b"hello", b"key-%d" % (PATIENCE - 2))) == b"hello", "this one came again"
    for number in range(PATIENCE):
        head.learn(message(b"hello", b"other-%d" % number), 5, number)
        assert head.meaning == number, "so it was worth going on"
    head.learn(message(b"hello", b"one more"), 5, 99)
    assert head.meaning is None


def test_a_head_that_differs_in_the_texts_of_some_fields_is_recognised_from_the_third_time_on() -> None:
    head = known(traced(b"id-1"), 5)
    assert head.body_of(traced(b"id-2")) is None
    head.learn(traced(b"id-2"), 5, "again")
    assert head.body_of(traced(b"another-3", body=b"hello world")) == b"hello world"
    assert head.texts() == {b"x-request-id": b"another-3"}
    assert head.body_of(traced(b"id-4", b"t-4")) is None, "another field differs too"
    head.learn(traced(b"id-5", b"t-5"), 5, "both")
    assert head.body_of(traced(b"id-6", b"t-6")) == b"hello"
    assert head.texts() == {b"x-request-id": b"id-6", b"trace": b"t-6"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"a\n",
        b"a\nX-Api-Key: stolen",
        b"a\tb",
        b"\xff",
        b"a\x00",
        b"a ",
        b"a\r\nTrace: t",
        b"x" * HEAD_BYTES_MAX,
    ],
)
def test_only_a_plain_text_may_stand_in_the_place_of_another(text: bytes) -> None:
    head = known(traced(b"id-1"), 5)
    head.learn(traced(b"id-2"), 5, "again")
    assert head.body_of(traced(text)) is None
    assert head.body_of(traced(b"id-3", more=b"\r\nX-Request-Id: %b" % text)) is None


@pytest.mark.parametrize(
    "name", sorted({b"X-Api-Key", b"Authorization", b"Connection", b"Host", b"Content-Type", b"Expect"})
)
def test_a_field_that_says_more_than_its_text_is_parsed_each_time(name: bytes) -> None:
    form = b"POST /a HTTP/1.1\r\n%b: %b\r\nContent-Length: 2\r\n\r\nhi"
    head = known(form % (name, b"one"), 2)
    head.learn(form % (name, b"two"), 2, "again")
    assert head.body_of(form % (name, b"two")) == b"hi"
    assert head.body_of(form % (name, b"six")) is None


def test_a_reader_tells_the_new_text_of_a_varied_head_and_keeps_the_notes() -> None:
    reader = RequestReader(LimitSpec())
    for number in range(3):
        [request] = read(reader, traced(b"id-%d" % number))
        assert isinstance(request, Request)
        assert request.head.headers[b"x-request-id"] == b"id-%d" % number
        if number == 1:
            request.head.notes = "looked at"
    assert request.head.notes == "looked at"
    assert set(request.head.varied) == {b"x-request-id"}


def test_a_reader_with_a_memory_reads_what_one_without_reads() -> None:
    sent = [
        message(b"one"),
        message(b"three"),
        message(b"three", b"another"),
        b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
        message(b"four") + message(b"five!"),
        b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nhey",
        message(b"six"),
    ]
    reader = RequestReader(LimitSpec())
    for data in sent:
        found = [_told(item) for item in read(reader, data)]
        assert found == [_told(item) for item in read(RequestReader(LimitSpec()), data)]


def test_a_recognised_body_keeps_to_the_limit() -> None:
    reader = RequestReader(LimitSpec(body_bytes_max=5))
    read(reader, message(b"hello"))
    [refusal] = read(reader, message(b"hello!"))
    assert isinstance(refusal, CallerError)
    assert refusal.status == 413


def test_an_idle_reader_remembers_nobodys_body() -> None:
    reader = RequestReader(LimitSpec())
    for _ in range(3):
        read(reader, message(b"secret words"))
    assert b"secret words" not in reader._familiar._known + reader._familiar._form


def _told(item: Request | CallerError) -> tuple[bytes, bytes, dict[bytes, bytes], bytes]:
    assert isinstance(item, Request)
    return item.head.method, item.head.target, item.head.headers, item.body
