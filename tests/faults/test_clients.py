"""C03, C04: clients that leave, at every stage; decoding stops, as the engine's own counters say."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.engine import Engine
from tests.service import Service, request, serving, until

pytestmark = pytest.mark.slow

ONE = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
slots = 1
threads = 1
context_tokens = 2048
replicas = { minimum_warm = 1, maximum = 1 }
"""
TALE = {"messages": [{"role": "user", "content": "Write a very long story about the sea."}], "max_tokens": 1500}
ENDS_S = 10.0
"""On a busy machine the engine is slow to say that it stopped; what it decoded meanwhile is what counts."""
TOKENS_OF_GRACE = 40
"""What may still be decoded after a client left: 200 ms at the highest speed of this model on a fast core."""


def send(service: Service, body: bytes) -> socket.socket:
    """Send a whole request and return the socket unread."""
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.usefixtures("embedded_model")
def test_c03_a_client_that_leaves_mid_stream_stops_the_decoding(tmp_path: Path) -> None:
    with serving(tmp_path, ONE) as service:
        engine = Engine(service)
        stream = service.stream(**TALE)
        events = stream.events()
        for _ in range(5):
            next(events)
        stream.close()
        until(engine.decoding_has_stopped, ENDS_S)
        service.idle()
        assert engine.counter("tokens_predicted_total") < 5 + TOKENS_OF_GRACE + 10


@pytest.mark.usefixtures("embedded_model")
def test_c04_a_client_that_leaves_a_plain_answer_stops_the_decoding(tmp_path: Path) -> None:
    with serving(tmp_path, ONE) as service:
        engine = Engine(service)
        connection = send(service, request(**TALE))
        until(lambda: engine.counter("requests_processing"))
        connection.close()
        until(engine.decoding_has_stopped, ENDS_S)
        service.idle()
        assert engine.counter("tokens_predicted_total") < 1500 / 4


@pytest.mark.usefixtures("embedded_model")
def test_c04_a_client_that_leaves_the_line_never_reaches_a_replica(tmp_path: Path) -> None:
    with serving(tmp_path, ONE) as service, ThreadPoolExecutor(1) as client:
        first = client.submit(service.ask, **{**TALE, "max_tokens": 40})
        until(lambda: service.pool()["in_flight"] == 1)
        waiting = send(service, request(**TALE))
        until(lambda: service.pool()["waiting_interactive"] == 1)
        waiting.close()
        until(lambda: service.pool()["waiting_interactive"] == 0, ENDS_S)
        assert first.result()[0] == 200
        service.idle()
        (row,) = service.replicas()
        assert row["replica"]["in_flight"] == 0
