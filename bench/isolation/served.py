"""What is asked: a whole `toque up` with its Batches API, and the embedded engine alone, without toque before it.

Law: whoever opens one ends it, by its process id.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients import Door, body

from toque.agents.embedded import find
from toque.agents.llama_cpp import LlamaCpp
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.spec import PoolSpec
from toque.ports import CHILD_PARENT_PID, CHILD_STATUS_FD

PATIENCE_S = 120.0
TERMINAL = {"failed", "completed", "expired", "cancelled"}


@dataclass
class Service:
    """A running `toque up`."""

    process: "subprocess.Popen[str]"
    folder: Path
    url: str = ""
    admin_url: str = ""

    @property
    def door(self) -> Door:
        """Where to ask it."""
        return Door(self.url)

    def rss_bytes(self) -> int:
        """Memory of the gateway's process, its replicas not included."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def upload(self, lines: Iterable[bytes]) -> str:
        """Upload a file of requests and return its id."""
        edge = secrets.token_hex(8).encode()
        part = b'--%s\r\ncontent-disposition: form-data; name="' % edge
        form = part + b'purpose"\r\n\r\nbatch\r\n' + part + b'file"; filename="backlog.jsonl"\r\n\r\n'
        form += b"".join(lines) + b"\r\n--%s--\r\n" % edge
        return str(self._call("/v1/files", form, f"multipart/form-data; boundary={edge.decode()}")["id"])

    def submit(self, file_id: str) -> str:
        """Order a batch and return its id."""
        order = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return str(self._call("/v1/batches", json.dumps(order).encode())["id"])

    def batch(self, batch_id: str) -> Any:
        """Return a batch as the API tells it."""
        return self._call(f"/v1/batches/{batch_id}")

    def completed(self, batch_ids: Iterable[str]) -> int:
        """Return how many of their items are done."""
        return sum(int(self.batch(one)["request_counts"]["completed"]) for one in batch_ids)

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch and wait until it has ended."""
        if self.batch(batch_id)["status"] not in TERMINAL:
            self._call(f"/v1/batches/{batch_id}/cancel", b"{}")
        until(lambda: self.batch(batch_id)["status"] in TERMINAL)

    def counted(self, name: str) -> float:
        """Sum of a counter of /metrics over its labels."""
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=PATIENCE_S) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def _call(self, path: str, content: bytes | None = None, kind: str = "application/json") -> Any:
        fields = {"content-type": kind} if content is not None else {}
        request = urllib.request.Request(f"{self.url}{path}", content, fields)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)


def backlog(count: int, words: int, tokens_max: int, first: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file of requests, each with a prompt of its own."""
    for number in range(first, first + count):
        request = body(10**7 + number, words, tokens_max, is_stream=False)
        line = {"custom_id": f"item-{number}", "method": "POST", "url": "/v1/chat/completions", "body": request}
        yield json.dumps(line).encode() + b"\n"


def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait for a condition; a benchmark that waits in vain ends."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {within_s:g} s in vain")
        time.sleep(0.01)


@contextmanager
def serving(settings: str, folder: Path) -> Iterator[Service]:
    """Run `toque up` with these settings, and a job store of its own, until the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "toque.toml"
    config.write_text(
        'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\nrecords = { access_log = "" }\n' + settings
    )
    command = [sys.executable, "-m", "toque", "up", "--json", "--config", str(config)]
    cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "TOQUE_JOBS_STORE": str(folder / "jobs.sqlite")}
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=folder
        ) as process,
    ):
        try:
            yield _ready(Service(process, folder))
        finally:
            _end(process)


def _ready(service: Service) -> Service:
    assert service.process.stdout is not None
    for line in service.process.stdout:
        told = json.loads(line)
        service.url, service.admin_url = told.get("url", service.url), told.get("admin_url", service.admin_url)
        if told["announcement"] == "ModelReady":
            return service
    raise SystemExit(f"the service did not come up: {(service.folder / 'stderr').read_text('utf-8')}")


def _end(process: "subprocess.Popen[Any]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def engine(slots: int, threads: int, context_tokens: int) -> Iterator[Door]:
    """Run the embedded engine as a replica of toque's is run, and let clients ask it themselves."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))) / "toque" / "models"
    model = find(cache)
    if model is None:
        raise SystemExit("the embedded model is not here; `toque up` fetches it")
    spec = AgentSpec(source=str(model), threads=threads, context_tokens=context_tokens)
    secret = Secret(secrets.token_urlsafe(24))
    launch = LlamaCpp().launch(ModelSpec(PoolSpec("chat", slots=slots), spec), secret)
    reading, writing = os.pipe()
    environment = {
        **os.environ,
        **launch.environment,
        CHILD_STATUS_FD: str(writing),
        CHILD_PARENT_PID: str(os.getpid()),
    }
    with (
        os.fdopen(reading, "rb") as status,
        subprocess.Popen(launch.argv, env=environment, pass_fds=(writing,), start_new_session=True) as process,
    ):
        os.close(writing)
        try:
            told = next(told for told in map(json.loads, status) if told["phase"] in {"ready", "failed"})
            yield Door(f"http://127.0.0.1:{told['port']}", secret.reveal())
        finally:
            _end(process)
