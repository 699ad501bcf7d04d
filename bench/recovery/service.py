"""A toque to be hurt: its own process, what it says of itself, and what the machine says of it.

Law: whoever opens it ends it, by its process id, and no replica outlives it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

PATIENCE_S = 60.0
"""Nothing that is waited for here takes longer, or the benchmark ends with a word."""
LAUNCHER = Path(__file__).with_name("counted.py")


@dataclass
class Service:
    """A running `toque up`."""

    process: "subprocess.Popen[str]"
    folder: Path
    url: str = ""
    admin_url: str = ""

    def pids(self) -> Sequence[int]:
        """Process ids of the replicas that are ready."""
        rows = self._get("/admin/v1/replicas")["replicas"]
        return [row["status"]["pid"] for row in rows if row["replica"]["state"] == "ready"]

    def in_flight(self) -> int:
        """Requests on replicas and in the line."""
        pools = self._get("/admin/v1/pools")["pools"]
        return sum(int(pool["in_flight"] + pool["waiting_interactive"]) for pool in pools)

    def counted(self, name: str) -> float:
        """Sum of a counter of /metrics over its labels."""
        with urlopen(f"{self.admin_url}/metrics", timeout=PATIENCE_S) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def rss_bytes(self) -> int:
        """Memory of the gateway's process, its replicas not included."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """Open files and sockets of the gateway's process."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def tasks(self) -> int:
        """Unfinished tasks of the gateway's event loop."""
        path = self.folder / "tasks"
        path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        until(path.exists)
        return int(path.read_text("utf-8"))

    def _get(self, path: str) -> Any:
        with urlopen(f"{self.admin_url}{path}", timeout=PATIENCE_S) as answer:
            return json.load(answer)


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; a benchmark that waits in vain ends."""
    if not comes_true(condition, PATIENCE_S):
        raise SystemExit(f"waited {PATIENCE_S:g} s in vain")


def comes_true(condition: Callable[[], object], within_s: float) -> bool:
    """Wait for a condition so long, and tell whether it came true."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def serving(settings: str, folder: Path) -> Iterator[Service]:
    """Run `toque up` with these settings until the block is left; its journal is `folder/journal.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "toque.toml"
    records = 'state_dir = "state", access_log = "access.jsonl", journal = "journal.jsonl"'
    config.write_text(f'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\nrecords = {{ {records} }}\n{settings}')
    command = [sys.executable, str(LAUNCHER), "up", "--json", "--config", str(config)]
    cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "TASKS_FILE": str(folder / "tasks")}
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


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
