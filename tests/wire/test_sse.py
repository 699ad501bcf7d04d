"""SSE parsing: U07 and U08 of the fault catalogue."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toque.model.errors import UpstreamError
from toque.wire.sse import LINE_BYTES_MAX, SseEvent, SseParser

STREAM = (
    '\ufeffdata: {"content":"Grüße, 世界"}\n\n'
    ": a comment\r\n"
    "event: delta\r\ndata: one\r\ndata:two\r\n\r\n"
    "id: 7\rretry: 10\rdata\rdata:  kept space\r\r"
    "event: without data\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    SseEvent('{"content":"Grüße, 世界"}'.encode()),
    SseEvent(b"one\ntwo", b"delta"),
    SseEvent(b"\n kept space"),
    SseEvent(b"[DONE]"),
]


def parse(pieces: list[bytes]) -> list[SseEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_u07_the_events_are_the_same_for_every_split_into_two() -> None:
    for at in range(len(STREAM) + 1):
        assert parse([STREAM[:at], STREAM[at:]]) == EVENTS


def test_u07_the_events_are_the_same_byte_by_byte() -> None:
    assert parse([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_u07_the_events_are_the_same_for_any_split(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in itertools.pairwise(edges)]) == EVENTS


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(alphabet=st.characters(exclude_characters="\r\n\x00", codec="utf-8"))), max_size=5),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.integers(1, 7),
)
def test_u07_what_was_written_is_read(texts: list[tuple[str]], newline: str, step: int) -> None:
    stream = "".join(f"data: {text}{newline}{newline}" for (text,) in texts).encode()
    events = parse([stream[at : at + step] for at in range(0, len(stream), step)])
    assert [event.data.decode() for event in events] == [text for (text,) in texts]


def test_u08_a_line_without_an_end_is_refused_and_not_kept() -> None:
    with pytest.raises(UpstreamError) as caught:
        parse([b"x" * 1000] * (LINE_BYTES_MAX // 1000 + 2))
    assert caught.value.code == "upstream_invalid_response"


def test_u08_an_event_of_many_lines_is_bounded_too() -> None:
    with pytest.raises(UpstreamError):
        parse([b"data: " + b"x" * 100 + b"\n"] * 20_000)
