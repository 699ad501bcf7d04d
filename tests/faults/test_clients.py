"""C03, C04: clients that leave, at every stage; decoding stops, as the engine's own counters say."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.service import Service, request, serving, until

pytestmark = pytest.mark.slow

ONE = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
slots = 1
context_tokens = 2048
replicas = { minimum_warm = 1, maximum = 1 }
"""
TALE = {"messages": [{"role": "user", "content": "Write a very long story about the sea."}], "max_tokens": 1500}
TOKENS_OF_GRACE = 40
"""What may still be decoded after a client left: 200 ms at the highest speed of this model on a fast core."""


class Engine:
    """The replica's own counters, asked past the gateway with the child's secret."""

    def __init__(self, service: Service) -> None:
        (row,) = service.replicas()
        pid = row["status"]["pid"]
        environment = dict(
            pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair
        )
        (self._secret,) = [value for name, value in environment.items() if "SECRET" in name]
        self._port = _listening_port(pid)

    def counter(self, name: str) -> float:
        """One of llama.cpp's own metrics."""
        url = f"http://127.0.0.1:{self._port}/metrics"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {self._secret}"}), timeout=5) as page:
            lines = page.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"llamacpp:{name} "))

    def decoding_has_stopped(self) -> bool:
        """Nothing is processed, and the counter stands still."""
        return not self.counter("requests_processing")


def _listening_port(pid: int) -> int:
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("the replica listens nowhere")


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
        until(engine.decoding_has_stopped, 2)
        service.idle()
        assert engine.counter("tokens_predicted_total") < 5 + TOKENS_OF_GRACE + 10


@pytest.mark.usefixtures("embedded_model")
def test_c04_a_client_that_leaves_a_plain_answer_stops_the_decoding(tmp_path: Path) -> None:
    with serving(tmp_path, ONE) as service:
        engine = Engine(service)
        connection = send(service, request(**TALE))
        until(lambda: engine.counter("requests_processing"))
        connection.close()
        until(engine.decoding_has_stopped, 2)
        service.idle()
        assert engine.counter("tokens_predicted_total") < 1500 / 4


@pytest.mark.usefixtures("embedded_model")
def test_c04_a_client_that_leaves_the_line_never_reaches_a_replica(tmp_path: Path) -> None:
    with serving(tmp_path, ONE) as service, ThreadPoolExecutor(1) as client:
        first = client.submit(service.ask, **{**TALE, "max_tokens": 60})
        until(lambda: service.pool()["in_flight"] == 1)
        waiting = send(service, request(**TALE))
        until(lambda: service.pool()["waiting_interactive"] == 1)
        waiting.close()
        until(lambda: service.pool()["waiting_interactive"] == 0, 2)
        assert first.result()[0] == 200
        service.idle()
        (row,) = service.replicas()
        assert row["replica"]["in_flight"] == 0
