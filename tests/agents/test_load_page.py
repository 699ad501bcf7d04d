"""What a replica that stands alone tells an endpoint picker, who has no secret of it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.children import end
from tests.picker import Picked, picked
from tests.service import until
from toque.agents.llama_cpp_server import engine_load
from toque.agents.load_page import encode_load
from toque.model.load import Load

SLOW_WORD_S = 0.05


class Alone:
    """A replica in a process of its own, as in a container: nobody's child, on addresses that it was told."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.port, self._metrics_port = _free_port(), _free_port()
        (folder / "toque.toml").write_text(settings)
        words = ("replica", "--listen", f"127.0.0.1:{self.port}", "--metrics-listen", f"127.0.0.1:{self._metrics_port}")
        self.process = subprocess.Popen(
            (sys.executable, "-m", "toque", *words, "--config", str(folder / "toque.toml")),
            env={**os.environ, "TOQUE_REPLICA_SECRET": "s3cret"},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert any(json.loads(line)["phase"] == "ready" for line in self.process.stdout)

    def page(self, path: str = "/metrics") -> str:
        with urlopen(f"http://127.0.0.1:{self._metrics_port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def ask(self) -> HTTPConnection:
        """Begin a request that takes long; who closes it leaves."""
        body = {"messages": [{"role": "user", "content": "Once"}], "max_tokens": 400, "stream": True}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = {"authorization": "Bearer s3cret", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), fields)
        return connection


@contextmanager
def alone(folder: Path, settings: str) -> Iterator[Alone]:
    replica = Alone(folder, settings)
    try:
        yield replica
    finally:
        end(replica.process)


@contextmanager
def asking(replica: Alone, requests: int) -> Iterator[None]:
    """So many requests under way; they leave in the end."""
    connections = [replica.ask() for _ in range(requests)]
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_page_is_read_by_a_picker_with_the_names_it_has_by_default() -> None:
    page = encode_load('a "model"', Load(3, 2, 4), 1.8e9)
    assert picked(page) == picked(page, {"model_name": 'a "model"'}) == Picked(3, 2, 0.75, 0)


def test_the_engines_own_metrics_are_read() -> None:
    page = (
        "# HELP llamacpp:requests_processing Requests\nllamacpp:requests_processing 2\nllamacpp:requests_deferred 5\n"
    )
    assert engine_load(page, slots=2) == Load(2, 5, 2)


@pytest.mark.slow
def test_a_python_agent_tells_what_it_works_on_without_being_asked_for_its_secret(tmp_path: Path) -> None:
    settings = (
        f'[models.chat]\nagent = "fake"\nslots = 2\noptions = {{ tokens = 10000, token_gap_s = {SLOW_WORD_S} }}\n'
    )
    with alone(tmp_path, settings) as replica:
        assert picked(replica.page()) == Picked(0, 0, 0, 0)
        with asking(replica, 3):
            until(lambda: picked(replica.page(), {"model_name": "chat"}) == Picked(2, 1, 1, 0))
        until(lambda: picked(replica.page()) == Picked(0, 0, 0, 0))
        with pytest.raises(HTTPError, match="404"):
            replica.page("/v1/models")


@pytest.mark.slow
def test_the_embedded_engine_tells_it_too(tmp_path: Path) -> None:
    settings = '[models.chat]\nsource = "embedded"\nslots = 1\ncontext_tokens = 512\n'
    with alone(tmp_path, settings) as replica, asking(replica, 2):
        until(lambda: picked(replica.page()) == Picked(1, 1, 1, 0))
