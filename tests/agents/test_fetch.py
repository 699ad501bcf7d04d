"""Weights are fetched once, and only what was asked for gets its name."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from toque.agents.fetch import fetch
from toque.model.errors import ConfigError

WEIGHTS = b"GGUF" + bytes(3 * 2**20)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def url() -> Iterator[str]:
    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_there = self.path == "/m.gguf"
            self.send_response(200 if is_there else 404)
            self.end_headers()
            if is_there:
                self.wfile.write(WEIGHTS)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/m.gguf"
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_what_was_asked_for_is_kept_and_not_fetched_again(url: str, tmp_path: Path) -> None:
    target, heard = tmp_path / "models" / "m.gguf", list[int]()
    fetch(url, DIGEST, target, heard.append)
    assert target.read_bytes() == WEIGHTS
    assert heard[-1] == len(WEIGHTS)
    heard.clear()
    fetch(url, DIGEST, target, heard.append)
    assert not heard


def test_another_file_than_expected_is_not_kept(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another file than expected"):
        fetch(url, "0" * 64, tmp_path / "m.gguf", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_what_does_not_answer_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be fetched"):
        fetch(f"{url}.missing", DIGEST, tmp_path / "m.gguf", lambda _: None)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a.example/m.gguf", ""])
def test_only_http_is_spoken(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no address to fetch from"):
        fetch(address, DIGEST, tmp_path / "m.gguf", lambda _: None)


def test_a_digest_is_needed(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="known by its digest"):
        fetch(url, "", tmp_path / "m.gguf", lambda _: None)
