"""Familiar chunks: what is passed on unread is exactly what reading would have passed on (U06, U07)."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.scripted import DONE, FINISH, TOKENS, USAGE, event
from toque.gateway.attempt import StreamAttempt
from toque.gateway.familiar import PATIENCE, FamiliarChunks, are_ordinary
from toque.gateway.outlet import Write
from toque.gateway.verdict import Verdict
from toque.model.ticket import FailureKind
from toque.wire.client import Call
from toque.wire.connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TEXTS = ["Grüße", "\\n", "", "x" * 300, '"usage":{"a":1}', "世界 [DONE]", "\u2028", "}]}"]
EVENTS = [event({"content": text}) for text in TEXTS]


def framed(*events: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in events)


def familiar() -> FamiliarChunks:
    chunks = FamiliarChunks()
    chunks.learn(TOKENS[0])
    return chunks


@pytest.mark.parametrize("read", [framed(one) for one in EVENTS] + [framed(*EVENTS), framed(TOKENS[0]) * 64])
def test_events_that_differ_in_their_text_alone_are_familiar(read: bytes) -> None:
    assert familiar().match(read)


ONE = TOKENS[1]


@pytest.mark.parametrize(
    "read",
    [
        framed(ONE)[:-1],
        framed(ONE) + b"\r\n",
        framed(ONE) + b"5\r\n",
        framed(ONE) + framed(ONE)[:-2],
        framed(ONE + ONE),
        framed(ONE, USAGE),
        framed(FINISH),
        framed(event({"content": "a"}, "stop")),
        framed(event({"content": "a"}, id="y")),
        framed(ONE.replace(b"data: ", b"dota: ")),
        framed(ONE.replace(b", ", b"\xff")),
        framed(ONE.replace(b", ", b"\n")),
        framed(ONE.replace(b", ", b"\r\n")),
        framed(ONE.replace(b", ", b"\r")),
        framed(ONE.replace(b", ", b"\\")),
        framed(ONE.replace(b", ", b"\\x")),
        framed(ONE.replace(b", ", b'a","b":"')),
        framed(ONE.replace(b'", "', b'"')),
        framed(b": ping\n\n"),
        framed(DONE),
        framed(ONE).replace(b"\r\n", b";x=y\r\n", 1),
        framed(ONE).upper(),
        b"0" + framed(ONE),
        b"+" + framed(ONE),
        b"%x\r\n%b\r\n" % (len(ONE) + 1, ONE),
        b"-2\r\n\0\r\n",
        b"0\r\n\r\n",
        b"",
    ],
)
def test_u06_anything_else_is_not(read: bytes) -> None:
    assert not familiar().match(read)
    assert not FamiliarChunks().match(read)


def test_what_was_forgotten_is_not_familiar() -> None:
    chunks = familiar()
    chunks.forget()
    assert not chunks.match(framed(ONE))


def test_learning_is_given_up_where_no_two_events_are_alike() -> None:
    chunks = FamiliarChunks()
    for stamp in range(PATIENCE + 1):
        assert not chunks.match(framed(event({"content": "a"}, created=stamp)))
        chunks.learn(event({"content": "a"}, created=stamp))
    assert not chunks.match(framed(event({"content": "a"}, created=PATIENCE)))


def test_each_recognised_chunk_renews_the_patience() -> None:
    chunks = FamiliarChunks()
    for stamp in range(2 * PATIENCE):
        chunks.learn(event({"content": "a"}, created=stamp))
        assert chunks.match(framed(event({"content": "b"}, created=stamp)))


@pytest.mark.parametrize(
    "events",
    [
        b'data: {"a":\n1}\n\n',
        b'data: {"a":\r1}\n\n',
        b'data: {"a":1,\n\ndata: "b":2}{}\n\n',
        b"data: {}{}\n\ndata: \n\n",
        b'data: {"a":1data: }\n\n',
        b"{}\n\n",
        b"dota: {}\n\n",
        b"",
    ],
)
def test_u06_events_that_only_look_whole_when_they_are_joined_are_not_ordinary(events: bytes) -> None:
    assert not are_ordinary(events)


# ---- the whole way: a replica's connection, and a client that takes chunks


class Home:
    """Keeps nothing."""

    def opened(self, connection: Connection) -> None: ...
    def keep(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def send_fresh(self, call: Call, request: bytes) -> None: ...


class Socket(asyncio.Transport):
    """Leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cut = False

    def write(self, data: object) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_cut


class Listener:
    """A customer: everything that went to the client, without frames, and how it ended."""

    def __init__(self) -> None:
        self.heard = b""
        self.framed_bytes = 0
        self.end: tuple[int, int] | FailureKind | None = None

    def begin(self, content_type: bytes, length: int | None) -> Write | None:
        return self.pass_chunks

    def pass_on(self, data: bytes) -> None:
        self.heard += data

    def pass_chunks(self, data: bytes) -> None:
        self.framed_bytes += len(data)
        while data:
            size, _, rest = data.partition(b"\r\n")
            end = int(size, 16)
            assert rest[end : end + 2] == b"\r\n"
            self.heard += rest[:end]
            data = rest[end + 2 :]

    def answered(self, prompt_tokens: int, output_tokens: int) -> None:
        self.end = (prompt_tokens, output_tokens)

    def answered_at_once(self, content_type: bytes, body: bytes, prompt_tokens: int, output_tokens: int) -> None:
        raise AssertionError("it is a stream")

    def failed(self, verdict: Verdict) -> None:
        self.end = verdict.kind


def relayed(reads: list[bytes]) -> Listener:
    listener, socket = Listener(), Socket()
    connection = Connection(Home())
    connection.connection_made(socket)
    connection.carry(StreamAttempt(listener, keeps_usage=False), b"")
    for read in reads:
        if read and not socket.is_cut:
            connection.data_received(read)
    if listener.end is None:
        connection.connection_lost(None)
    return listener


STREAM = HEAD + framed(event({"role": "assistant"}), *EVENTS, TOKENS[0], TOKENS[1], FINISH, USAGE, DONE) + b"0\r\n\r\n"
HEARD = b"".join([event({"role": "assistant"}), *EVENTS, TOKENS[0], TOKENS[1], FINISH, DONE])


def test_chunks_of_their_own_pass_as_they_came() -> None:
    reads = [HEAD, *(framed(one) for one in (TOKENS[0], *EVENTS, FINISH, USAGE, DONE)), b"0\r\n\r\n"]
    listener = relayed(reads)
    assert listener.heard == b"".join([TOKENS[0], *EVENTS, FINISH, DONE])
    assert listener.framed_bytes == len(framed(*EVENTS))
    assert listener.end == (3, 4)


def test_u07_every_split_of_the_framed_stream_gives_the_same_answer() -> None:
    for at in range(len(STREAM)):
        listener = relayed([STREAM[:at], STREAM[at:]])
        assert (listener.heard, listener.end) == (HEARD, (3, 4)), at


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_u07_any_split_of_the_framed_stream_gives_the_same_answer(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    listener = relayed([STREAM[a:b] for a, b in itertools.pairwise(edges)])
    assert (listener.heard, listener.end) == (HEARD, (3, 4))


@pytest.mark.parametrize("byte", [b"\n", b'"', b"\\", b"\xff", b"0", b"{", b"\0"])
def test_u06_any_byte_corrupted_does_what_it_does_where_nothing_is_familiar(
    byte: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, victim = [HEAD, framed(TOKENS[0]), framed(TOKENS[1])], framed(ONE, TOKENS[2])
    cases = [[*good, victim[:at] + byte + victim[at + 1 :], framed(ONE), framed(DONE)] for at in range(len(victim))]
    found = [relayed(case) for case in cases]
    monkeypatch.setattr(FamiliarChunks, "match", lambda *_: False)
    for at, (case, one) in enumerate(zip(cases, found, strict=True)):
        plain = relayed(case)
        assert (one.heard, one.end) == (plain.heard, plain.end), at
