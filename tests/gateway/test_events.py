"""Events on their way through: U07 over all splits, what is taken out, and when an answer is whole."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.scripted import DONE, FINISH, TOKENS, USAGE, event
from toque.gateway.events import EVENT_BYTES_MAX, EventStream, StreamFaultError, find_usage

STREAM = b"".join([b": ping\n\n", *TOKENS, event({"content": '"usage":{'}), FINISH, USAGE, DONE])
WITHOUT_USAGE = STREAM.replace(USAGE, b"")


def passed(pieces: list[bytes], *, keeps_usage: bool = False) -> tuple[bytes, EventStream]:
    events = EventStream(keeps_usage=keeps_usage)
    out = b"".join([events.feed(piece) for piece in pieces])
    return out + events.rest(), events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_u07_every_split_in_two_gives_the_same_bytes_and_counts(newline: bytes) -> None:
    stream, expected = STREAM.replace(b"\n", newline), WITHOUT_USAGE.replace(b"\n", newline)
    for at in range(len(stream) + 1):
        out, events = passed([stream[:at], stream[at:]])
        assert out == expected
        assert (events.prompt_tokens, events.output_tokens) == (3, 4)
        assert events.is_whole()


def test_u07_byte_by_byte_is_the_same() -> None:
    assert passed([STREAM[at : at + 1] for at in range(len(STREAM))])[0] == WITHOUT_USAGE


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.booleans())
def test_u07_any_split_is_the_same(cuts: list[int], keeps_usage: bool) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    out, _ = passed([STREAM[a:b] for a, b in itertools.pairwise(edges)], keeps_usage=keeps_usage)
    assert out == (STREAM if keeps_usage else WITHOUT_USAGE)


def test_what_is_passed_on_is_always_whole_events() -> None:
    events = EventStream(keeps_usage=False)
    for at in range(0, len(STREAM), 7):
        out = events.feed(STREAM[at : at + 7])
        assert not out or out.endswith(b"\n\n")


def test_u08_an_event_without_an_end_is_refused() -> None:
    events = EventStream(keeps_usage=False)
    with pytest.raises(StreamFaultError) as raised:
        events.feed(TOKENS[0] + b"data: " + b"x" * EVENT_BYTES_MAX)
    assert (raised.value.passed, raised.value.status) == (TOKENS[0], 0)


def until_fault(pieces: list[bytes]) -> tuple[bytes, int, bytes]:
    """What passed before the fault, and what the fault says."""
    events, out = EventStream(keeps_usage=False), b""
    for piece in pieces:
        try:
            out += events.feed(piece)
        except StreamFaultError as fault:
            return out + fault.passed, fault.status, fault.body
    raise AssertionError("there was no fault")


BROKEN = (
    b'data: {"choices":[{"index":0,"del\n\n',
    b'data: {"choices":[],}\n\n',
    b'data: {"a" 1}\n\n',
    b"data: \xff\n\n",
    b"data: hello\n\n",
    b'data: {"id":"\xc3("}\n\n',
    b"data: []\n\n",
    b"data: " + b"[" * 100_000 + b"\n\n",
)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_u06_what_comes_before_an_event_that_cannot_be_read_is_for_the_client(broken: bytes, newline: bytes) -> None:
    good, bad = (text.replace(b"\n", newline) for text in (b"".join(TOKENS[:2]), broken))
    for pieces in ([good + bad + good], [good, bad], [good + bad[:9], bad[9:]]):
        assert until_fault(pieces) == (good, 0, b"")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (b'{"message":"no memory","type":"server_error","code":500}', 500),
        (b'{"message":"too long","code":400}', 400),
        (b'{"message":"odd","code":"internal"}', 500),
        (b'{"code":7}', 500),
        (b'"just a text"', 500),
    ],
)
def test_an_error_that_the_replica_tells_in_its_stream_is_a_failure(error: bytes, status: int) -> None:
    told = b'data: {"error":%b}' % error
    for pieces in ([TOKENS[0] + told + b"\n\n" + DONE], [TOKENS[0], told + b"\n\n"]):
        assert until_fault(pieces) == (TOKENS[0], status, told[6:])


def test_an_error_field_that_is_null_is_none() -> None:
    pieces = [event({"content": "a"}, error=None), FINISH, DONE]
    assert passed(pieces)[0] == b"".join(pieces)


def test_u07_data_on_several_lines_and_comments_between_them_pass_as_they_came() -> None:
    stream = b': a\ndata: {"choices":\n: b\ndata: [{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n' + DONE
    for at in range(len(stream) + 1):
        assert passed([stream[:at], stream[at:]])[0] == stream


def test_usage_in_every_chunk_stays_and_the_last_counts() -> None:
    pieces = [
        event({"content": "a"}, usage=None),
        event({"content": "b"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
        event({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2}),
    ]
    out, events = passed([*pieces, DONE])
    assert out == b"".join([*pieces, DONE])
    assert events.output_tokens == 2


def test_text_that_looks_like_a_mark_is_text() -> None:
    pieces = [event({"content": '"finish_reason":"stop" data: [DONE]'}), event({"content": 'x "usage":{"a":1}'})]
    out, events = passed(pieces)
    assert out == b"".join(pieces)
    assert not events.is_whole()
    assert events.output_tokens == 0


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b'{"usage": {"prompt_tokens": 1, "completion_tokens": 2}}', (1, 2)),
        (b'{"usage":{"completion_tokens":2,"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}}', (1, 2)),
        (b'{"usage":{"prompt_tokens":5,"total_tokens":5}}', (5, 0)),
        (b'{"usage":null}', (0, 0)),
        (b"{}", (0, 0)),
    ],
)
def test_usage_is_found_in_a_plain_answer(body: bytes, usage: tuple[int, int]) -> None:
    assert find_usage(body) == usage
