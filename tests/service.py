"""A real toque for end-to-end tests: its own process, free ports, a state directory of its own, and ended by its id."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 30.0
"""No condition in these tests takes longer on a slow machine; none is waited for without this bound."""


def until(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Wait until a condition is true and return its value; fail when it does not become true in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        threading.Event().wait(0.01)
    return value


@dataclass
class Service:
    """A running `toque up`, and how to ask it things."""

    process: subprocess.Popen[str]
    announced: list[Mapping[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    url: str = ""
    admin_url: str = ""

    def announces(self, what: str, within_s: float = PATIENCE_S) -> Mapping[str, Any]:
        """Wait for an announcement."""

        def found() -> Mapping[str, Any] | None:
            assert self.process.poll() is None, "".join(self.errors)
            return next((told for told in self.announced if told["announcement"] == what), None)

        told: Mapping[str, Any] = until(found, within_s)
        return told

    def listening(self, within_s: float = PATIENCE_S) -> None:
        """Wait until it listens, and know where."""
        told = self.announces("Listening", within_s)
        self.url, self.admin_url = told["url"], told["admin_url"]

    def get(self, path: str) -> Any:
        """GET a JSON page of the admin listener."""
        status, _, body = call(self.admin_url, "GET", path)
        assert status == 200, body
        return json.loads(body)

    def pool(self, name: str = "chat") -> Any:
        """One pool as `toque ps` sees it."""
        return next(pool for pool in self.get("/admin/v1/pools")["pools"] if pool["name"] == name)

    def replicas(self) -> list[Any]:
        """All replicas, with process ids."""
        return list(self.get("/admin/v1/replicas")["replicas"])

    def pids(self) -> list[int]:
        """Process ids of the replicas that are ready."""
        return [row["status"]["pid"] for row in self.replicas() if row["replica"]["state"] == "ready"]

    def why(self, subject: str) -> Any:
        """What `toque why` explains."""
        return self.get(f"/admin/v1/why/{subject}")

    def ask(self, **fields: Any) -> tuple[int, Mapping[str, str], Any]:
        """POST a chat completion; returns status, headers and the decoded body."""
        status, headers, body = call(self.url, "POST", "/v1/chat/completions", request(**fields))
        return status, headers, json.loads(body)

    def stream(self, **fields: Any) -> "Stream":
        """Begin a streamed chat completion."""
        return Stream(self.url, request(stream=True, **fields))

    def ready(self, count: int = 1, name: str = "chat") -> None:
        """Wait until so many replicas are ready, exactly."""
        until(lambda: [r["state"] for r in self.pool(name)["replicas"]].count("ready") == count)

    def idle(self, name: str = "chat") -> None:
        """Wait until no request is in flight or waiting."""
        until(lambda: not self.pool(name)["in_flight"] and not self.pool(name)["waiting_interactive"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


class Stream:
    """One streamed answer, read event by event over a socket of its own."""

    def __init__(self, url: str, body: bytes) -> None:
        self.connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
        self.connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        self.response: HTTPResponse = self.connection.getresponse()

    def events(self) -> Iterator[str]:
        """Yield the data of every event; comments are passed over."""
        for line in self.response:
            if line.startswith(b"data: "):
                yield line[6:].decode().rstrip("\n")

    def close(self) -> None:
        """Leave, at whatever stage."""
        self.response.close()
        self.connection.close()


def request(**fields: Any) -> bytes:
    """A chat request for the model `chat`."""
    asked = {"model": "chat", "messages": [{"role": "user", "content": "Tell me something."}], **fields}
    return json.dumps(asked).encode()


def call(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Make one plain call."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    given = {} if body is None else {"content-type": "application/json"}
    connection.request(method, path, body, {**given, **(headers or {})})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, answer


@contextmanager
def serving(
    folder: Path, settings: str, *, is_ready: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run `toque up` with these settings; whatever is left of it at the end is killed, by its id."""
    path = folder / "toque.toml"
    path.write_text('listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n' + settings)
    with started(["up", "--json", "--config", str(path)], folder, environment) as service:
        service.listening()
        if is_ready:
            service.announces("ModelReady")
        yield service


@contextmanager
def started(arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run a toque command and collect what it announces; ended by its id."""
    source = str(Path(__file__).parents[1])
    home = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))}
    path = {"PYTHONPATH": f"{source}{os.pathsep}{source}/src", "TOQUE_JOBS_STORE": str(folder / "jobs.sqlite")}
    argv = [sys.executable, "-m", "toque", *arguments]
    with launched(argv, folder, {**os.environ, **home, **path, **(environment or {})}) as service:
        yield service


@contextmanager
def launched(argv: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    """Run any command line that becomes a toque, in this environment and no other."""
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    )
    service = Service(process)
    readers = [
        threading.Thread(
            target=_collect, args=(process.stdout, lambda line: service.announced.append(json.loads(line)))
        ),
        threading.Thread(target=_collect, args=(process.stderr, service.errors.append)),
    ]
    for reader in readers:
        reader.start()
    try:
        yield service
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            _end(process)
        for reader in readers:
            reader.join(PATIENCE_S)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _collect(lines: Any, keep: Callable[[str], None]) -> None:
    with lines:
        for line in lines:
            keep(line)
