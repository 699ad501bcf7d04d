"""`toque ready`: it says so at once, waits while it is told to, and tells why not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.screen import Screen


class Door(BaseHTTPRequestHandler):
    """Answers with the next status of its server, the last one for ever."""

    def do_GET(self) -> None:
        statuses: list[int] = self.server.statuses  # type: ignore[attr-defined]
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def door() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Door) as server:
        server.statuses = [200]  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_service_that_is_ready_is_said_to_be(door: HTTPServer) -> None:
    screen = Screen({"TOQUE_LISTEN": f"127.0.0.1:{door.server_port}"})
    assert screen.run("ready") == 0
    assert screen.shown == "ready\n"


def test_it_waits_for_one_that_is_not_yet(door: HTTPServer) -> None:
    door.statuses = [503, 503, 200]  # type: ignore[attr-defined]
    assert Screen().run("ready", f"http://127.0.0.1:{door.server_port}", "--within", "20") == 0


def test_it_tells_what_is_in_the_way(door: HTTPServer) -> None:
    door.statuses = [503]  # type: ignore[attr-defined]
    screen = Screen()
    assert screen.run("ready", f"http://127.0.0.1:{door.server_port}") == 1
    assert "not ready: it answers with status 503" in screen.said


def test_nobody_there_is_another_exit_status() -> None:
    screen = Screen()
    assert screen.run("ready", "http://127.0.0.1:1") == 3
    assert "not ready" in screen.said
    assert screen.run("ready", "nonsense://") == 2
