"""H15: bytes drawn by the thousand for every parser of what strangers send. None may crash, and none may be slow.

An error in the words of the error tree is no crash. The draws are the same each time.
"""

import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toque.agents.gguf import fault_of
from toque.config.read import read_config
from toque.gateway.events import EventStream, StreamFaultError
from toque.gateway.openai import SHAPES, BodyReader
from toque.model.errors import ToqueError
from toque.model.service_spec import LimitSpec
from toque.ports import Dialect
from toque.sim.workload.trace import read_trace
from toque.wire.reader import RequestReader
from toque.wire.sse import SseParser

pytestmark = pytest.mark.slow

DRAWS = 1500
CASE_S_MAX = 0.5
"""Seconds of processor time for the slowest case; a machine under load needs room above the 100 ms that are meant."""

drawn = settings(max_examples=DRAWS, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def from_words(*words: bytes) -> st.SearchStrategy[bytes]:
    """Bytes in which the words of a format are likely."""
    piece = st.sampled_from(words) | st.binary(max_size=12)
    return st.lists(piece, max_size=40).map(b"".join)


def in_pieces(content: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in several reads."""
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[a:b] for a, b in itertools.pairwise(edges)]


def survives(parse: Callable[[], object], *told: type[Exception]) -> None:
    """It returns, or says what is wrong in its own words, soon."""
    began = time.process_time()
    try:
        parse()
    except (ToqueError, *told):
        pass
    assert time.process_time() - began < CASE_S_MAX


CUTS = st.lists(st.integers(0, 2000), max_size=6)
SSE = from_words(
    b"data: ", b"data:", b"event: error", b"id: 1", b": ping", b"\n", b"\n\n", b"\r", b"\r\n", b"[DONE]", b"\xef\xbb\xbf",
    b'{"choices":[]}', b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}', b'{"error":{"code":503}}', b"\xff", b'"', b"{",
)  # fmt: skip


@drawn
@given(content=SSE, cuts=CUTS)
def test_h15_drawn_event_streams(content: bytes, cuts: list[int]) -> None:
    parser = SseParser()
    survives(lambda: [parser.feed(piece) for piece in in_pieces(content, cuts)])


@drawn
@given(content=SSE, cuts=CUTS)
def test_h15_drawn_streams_on_their_way_to_the_client(content: bytes, cuts: list[int]) -> None:
    def relay() -> None:
        stream = EventStream(keeps_usage=len(cuts) % 2 == 0)
        for piece in in_pieces(content, cuts):
            stream.feed(piece)
        stream.rest()
        stream.is_whole()

    survives(relay, StreamFaultError)


HTTP = from_words(
    b"GET ", b"POST ", b"/v1/models", b"http://x/", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"Host: a\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"\n", b" folded\r\n", b"5\r\nhello\r\n",
    b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"CONNECT a:1", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b":", b"\x00",
)  # fmt: skip


@drawn
@given(content=HTTP, cuts=CUTS)
def test_h15_drawn_requests(content: bytes, cuts: list[int]) -> None:
    def read() -> None:
        reader = RequestReader(LimitSpec(header_bytes_max=1024, body_bytes_max=1024))
        for piece in in_pieces(content, cuts):
            reader.feed(piece)
        assert len(reader.ready) <= content.count(b"HTTP/") + 1
        reader.close()

    survives(read)


JSON = from_words(
    b"{", b"}", b"[", b"]", b",", b":", b'"model"', b'"chat"', b'"messages"', b'"role"', b'"content"', b'"n"', b"1e400", b"-1",
    b"NaN", b"null", b"true", b'"\\ud800"', b'"stream"', b'"response_format"', b'{"type":"json_schema"', b'"$ref"', b"1",
    b'{"model":"chat","messages":[{"role":"user","content":"x"}]', b'"logit_bias":{"1":', b"9" * 400, b"\xff",
)  # fmt: skip
READERS = {
    path: BodyReader(path, {"chat": Dialect(frozenset(SHAPES), frozenset({"response_format"}))}) for path in SHAPES
}


@drawn
@given(content=JSON, path=st.sampled_from(sorted(SHAPES)))
def test_h15_drawn_bodies(content: bytes, path: str) -> None:
    survives(partial(READERS[path].read, content))


TOML = from_words(
    b"[models.chat]\n", b"[[x]]\n", b"[keys.a]\n", b"agent = ", b'"fake"', b"slots = ", b"replicas = { minimum_warm = ", b"}",
    b"\n", b"=", b'"', b"'''", b"1e999", b"-1", b"true", b"listen = ", b'"127.0.0.1:0"', b"[limits]\n", b"\xff", b"\\u0000",
    b"source = ", b"sha256 = ", b"1979-05-27", b"nan", b"0x", b"[scaling]\n", b"capacity = { memory = ", b'"8GiB"',
)  # fmt: skip


@drawn
@given(content=TOML)
def test_h15_drawn_settings(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives(partial(read_config, written(tmp_path_factory, "toque.toml", content), {}, {}))


CSV = from_words(
    b"at,prompt_tokens,output_tokens\n", b"TIMESTAMP,ContextTokens,GeneratedTokens\n", b"0,1,2\n", b"1e400,", b"-1,", b"nan,",
    b"2023-11-16 18:15:46.6805900,", b"\n", b",", b'"', b"\x1f\x8b\x08", b'{"at":0,"prompt_tokens":1}', b"{", b"}\n", b"\xff",
    b"9" * 400, b"\xef\xbb\xbf",
)  # fmt: skip


@drawn
@given(content=CSV, name=st.sampled_from(["trace.csv", "trace.jsonl", "trace.csv.gz"]))
def test_h15_drawn_traces(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    survives(lambda: list(read_trace(written(tmp_path_factory, name, content))))


GGUF = from_words(
    b"GGUF", (3).to_bytes(4, "little"), (1).to_bytes(8, "little"), (2**63).to_bytes(8, "little"), b"\xff" * 8, bytes(8),
    (8).to_bytes(4, "little"), (9).to_bytes(4, "little"), (4).to_bytes(8, "little") + b"name", bytes(100),
    (17).to_bytes(8, "little") + b"general.alignment" + (4).to_bytes(4, "little"),
)  # fmt: skip


@drawn
@given(content=GGUF.map(lambda rest: b"GGUF" + (3).to_bytes(4, "little") + rest) | GGUF)
def test_h15_and_s19_drawn_model_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives(partial(fault_of, written(tmp_path_factory, "model.gguf", content)))


def written(folders: pytest.TempPathFactory, name: str, content: bytes) -> Path:
    """A file with this content, one for all draws."""
    path = folders.getbasetemp() / name
    path.write_bytes(content)
    return path
