"""H05 to H09: bodies that are too large, no JSON, or ask for what nobody may ask for; and what of a body reaches a replica."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.service import Service, call, request, serving
from toque.testing import FakeEngine, in_background

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "x"}]
BODY_BYTES_MAX = 2**20
SETTINGS = """
[models.chat]
agent = "fake"
embeddings = true
options = { tokens = 3 }
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("requests"), SETTINGS) as running:
        yield running


def post(service: Service, body: bytes, path: str = CHAT) -> tuple[int, Any]:
    """POST a body as it stands; what answers must still answer the next request."""
    status, headers, answer = call(service.url, "POST", path, body)
    assert headers["x-request-id"]
    assert service.process.poll() is None
    return status, json.loads(answer)


def memory_bytes(service: Service) -> int:
    pages = Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


# ---- H05: bodies beyond the limit ------------------------------------------------------------------------------------


def open_request(service: Service, framing: str) -> socket.socket:
    """Send the head of a request, and nothing of its body."""
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def send_without_end(connection: socket.socket, chunk: bytes) -> None:
    while True:
        connection.sendall(chunk)


def answer_on(connection: socket.socket) -> tuple[int, str, Any]:
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.headers["connection"], json.loads(response.read())


@pytest.mark.parametrize(
    "framing", ["content-length: 99999999999", "content-length: 99999999999\r\nexpect: 100-continue"]
)
def test_h05_a_body_announced_too_large_is_refused_before_it_is_read(service: Service, framing: str) -> None:
    with open_request(service, framing) as connection:
        status, closes, body = answer_on(connection)
    assert (status, closes, body["error"]["code"]) == (413, "close", "request_too_large")


def test_h05_chunks_beyond_the_limit_are_refused_at_the_limit_and_memory_stays_flat(tmp_path: Path) -> None:
    settings = f"{SETTINGS}\n[limits]\nbody_bytes_max = {BODY_BYTES_MAX}\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with serving(tmp_path, settings) as service:
        before = memory_bytes(service)
        with open_request(service, "transfer-encoding: chunked") as connection:
            for _ in range(BODY_BYTES_MAX // 0x10000 + 1):
                connection.sendall(chunk)
            status, closes, body = answer_on(connection)
            assert (status, closes, body["error"]["code"]) == (413, "close", "request_too_large")
            with pytest.raises(OSError, match=r"reset|pipe|abort"):  # read on for two seconds, and never kept
                send_without_end(connection, chunk)
        assert memory_bytes(service) - before < 16 * BODY_BYTES_MAX
        assert service.ask()[0] == 200


# ---- H06, H07: what is no JSON, or too much of it --------------------------------------------------------------------

BOMBS = {
    "arrays nested a million deep": b"[" * 1_000_000,
    "objects nested a million deep": b'{"a":' * 1_000_000,
    "messages nested a million deep": b'{"model":"chat","messages":' + b"[" * 1_000_000,
    "a name of ten megabytes": b'{"model":"' + b"x" * 10_000_000 + b'"}',
    "a hundred thousand keys": b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}",
    "a number of 5000 digits": b'{"model":"chat","messages":[{}],"seed":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_h06_a_bomb_is_a_bad_request(service: Service, name: str) -> None:
    status, body = post(service, BOMBS[name])
    assert status in {400, 413}  # 413: too much structure to look into
    assert body["error"]["type"] == "invalid_request_error"


STRANGE = {
    "nothing": b"",
    "no JSON": b"hello",
    "a byte order mark": b"\xef\xbb\xbf" + request(),
    "invalid UTF-8": request().replace(b"Tell", b"\xff\xfe"),
    "a lone surrogate": request().replace(b"Tell", b"\\ud800"),
    "NaN": b'{"model":"chat","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
    "NaN in an unknown field": b'{"model":"chat","messages":[{"role":"user","content":"x"}],"unknown":NaN}',
    "a number beyond numbers": b'{"model":"chat","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
    "an array": b"[" + request() + b"]",
    "a text": b'"chat"',
    "null": b"null",
    "something after the end": request() + b"{}",
}


@pytest.mark.parametrize("name", STRANGE)
def test_h07_what_is_no_object_of_json_in_utf_8_is_a_bad_request(service: Service, name: str) -> None:
    status, body = post(service, STRANGE[name])
    assert status == 400
    assert set(body["error"]) == {"message", "type", "param", "code"}


# ---- H08: fields beyond their bounds ---------------------------------------------------------------------------------

BEYOND: list[tuple[str, str, dict[str, Any]]] = [
    (CHAT, "n", {"n": 1_000_000}),
    (CHAT, "n", {"n": 128, "max_tokens": 2**20}),
    (CHAT, "top_logprobs", {"logprobs": True, "top_logprobs": 21}),
    (CHAT, "logit_bias", {"logit_bias": {str(token): 1 for token in range(100_000)}}),
    (CHAT, "stop", {"stop": ["x"] * 100}),
    (CHAT, "max_tokens", {"max_tokens": -1}),
    (CHAT, "max_tokens", {"max_tokens": 2**63}),
    (CHAT, "max_completion_tokens", {"max_completion_tokens": -(2**63)}),
    (CHAT, "temperature", {"temperature": -0.1}),
    (CHAT, "top_p", {"top_p": 2}),
    (CHAT, "seed", {"seed": 2**64}),
    (CHAT, "messages", {"messages": MESSAGES * 100_000}),
    (CHAT, "messages", {"messages": []}),
    (CHAT, "messages", {"messages": "x"}),
    (CHAT, "model", {"model": 7}),
    (CHAT, "stream", {"stream": "yes"}),
    (CHAT, "tools", {"tools": [{"type": "function"}] * 10_000}),
    (CHAT, "store", {"store": True}),
    ("/v1/completions", "prompt", {"prompt": {}}),
    ("/v1/completions", "prompt", {"prompt": ["x"] * 3000}),
    ("/v1/completions", "best_of", {"prompt": "x", "best_of": 1_000_000}),
    ("/v1/embeddings", "input", {"input": ["x"] * 100_000}),
    ("/v1/embeddings", "dimensions", {"input": "x", "dimensions": -2048}),
]


@pytest.mark.parametrize(
    ("path", "field", "fields"), BEYOND, ids=[f"{field}-{i}" for i, (_, field, _) in enumerate(BEYOND)]
)
def test_h08_a_field_beyond_its_bounds_is_named(
    service: Service, path: str, field: str, fields: dict[str, Any]
) -> None:
    body = {"model": "chat", **({"messages": MESSAGES} if path == CHAT else {}), **fields}
    status, answer = post(service, json.dumps(body).encode(), path)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "invalid_value", field)


# ---- H09: what reaches a replica -------------------------------------------------------------------------------------


@contextmanager
def recorded(tmp_path: Path, more: str = "") -> Iterator[tuple[Service, FakeEngine]]:
    """A service before an upstream that remembers what it was asked."""
    with in_background(FakeEngine()) as engine:
        settings = f'[models.chat]\nagent = "openai"\nurl = "{engine.url}"\nslots = 4\n{more}'
        with serving(tmp_path, settings) as service:
            yield service, engine


ENGINE_ONLY = {
    "n_discard": -1,
    "id_slot": 1,
    "slot_id": 1,
    "grammar": 'root ::= "no"',
    "lora": [{"id": 0, "scale": 9}],
    "n_predict": 1,
    "n_keep": -1,
    "cache_prompt": True,
    "samplers": ["top_k"],
    "api_base": "http://example.com",
    "anything_else": {"deep": [1, 2, 3]},
}


def test_h09_fields_that_are_not_on_the_list_never_leave_the_gateway(tmp_path: Path) -> None:
    with recorded(tmp_path, 'fields = ["repetition_penalty"]\n') as (service, engine):
        assert service.ask(**ENGINE_ONLY, temperature=0.5, repetition_penalty=1.1)[0] == 200
        (sent,) = engine.requests
    assert set(json.loads(sent.body)) == {"model", "messages", "temperature", "repetition_penalty"}


def test_h07_a_replica_reads_a_doubled_key_as_the_gateway_did_and_keeps_a_nul(tmp_path: Path) -> None:
    with recorded(tmp_path) as (service, engine):
        doubled = b'{"model":"none","model":"chat","messages":[{"role":"user","content":"a\\u0000b"}],"n":9,"n":1}'
        assert post(service, doubled)[0] == 200
        (sent,) = engine.requests
    assert sent.body.count(b'"model"') == 1
    assert sent.body.count(b'"n"') == 1
    read = json.loads(sent.body)
    assert (read["n"], read["messages"][0]["content"]) == (1, "a\0b")


@pytest.mark.usefixtures("embedded_model")
def test_h09_the_real_engine_never_sees_its_own_dangerous_fields(tmp_path: Path) -> None:
    settings = '[models.chat]\nagent = "llama.cpp"\nsource = "embedded"\ncontext_tokens = 1024\n'
    question = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
    with serving(tmp_path, settings) as service:
        plain, bent = (service.ask(**question, max_tokens=12, **more) for more in ({}, ENGINE_ONLY))
        assert plain[0] == bent[0] == 200
        assert bent[2]["choices"][0]["message"] == plain[2]["choices"][0]["message"]
        assert bent[2]["usage"]["completion_tokens"] > 1


# ---- H10: schemas as bombs -------------------------------------------------------------------------------------------


def schema(content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": content}}


@pytest.mark.usefixtures("embedded_model")
def test_h10_the_real_engine_survives_every_schema_that_passes_the_door(tmp_path: Path) -> None:
    nested: dict[str, Any] = {"type": "string"}
    for _ in range(25):
        nested = {"type": "object", "properties": {"a": nested}, "required": ["a"]}
    bombs = [
        {"enum": [f"value {number}" for number in range(300)]},
        nested,
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"$ref": "http://169.254.169.254/latest"},
        {"type": "string", "pattern": "^(((a{1,100}){1,100}){1,100}){1,100}$"},
        {"type": "array", "items": {"type": "array", "minItems": 1000, "maxItems": 1000}, "minItems": 1000},
    ]
    settings = '[models.chat]\nagent = "llama.cpp"\nsource = "embedded"\ncontext_tokens = 1024\n'
    with serving(tmp_path, settings) as service:
        (pid,) = service.pids()
        for bomb in bombs:
            status, _, body = service.ask(response_format=schema(bomb), max_tokens=4)
            assert status in {200, 400}, bomb
            assert "169.254" not in json.dumps(body)
        refused, _, body = service.ask(response_format=schema({"enum": [str(number) for number in range(20_000)]}))
        assert (refused, body["error"]["param"]) == (400, "response_format")
        assert service.ask(max_tokens=4)[0] == 200
        assert service.pids() == [pid]


def test_c09_a_key_that_comes_again_gets_the_same_answer_from_a_real_service(service: Service) -> None:
    once = {"idempotency-key": "order-17"}
    first, again, other = (
        call(service.url, "POST", "/v1/chat/completions", request(seed=seed), once) for seed in (1, 1, 2)
    )
    assert (first[0], again[0], other[0]) == (200, 200, 422)
    assert (again[1]["idempotent-replayed"], again[2]) == ("true", first[2])
    assert json.loads(other[2])["error"]["code"] == "idempotency_mismatch"
