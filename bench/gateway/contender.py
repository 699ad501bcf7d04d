"""A gateway under test: how each is set up, started on one core, found ready, and ended."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import processes
from cases import CASES

READY_S = 90.0
"""LiteLLM takes 20 s to import itself on one busy core."""

SETTLE_S = 30.0


class NotReadyError(Exception):
    """It did not start; the message shows the end of what it wrote."""


class Contender(ABC):
    """One gateway process between load and mock. `port` is where it listens."""

    name = ""
    patience = 1
    """How many times as long it is measured: one that answers a dozen requests a second needs time to show it."""
    recovery_s = 0.0
    """After it was held still: one that watches its own lateness takes that for overload until it was on time for a while."""
    connections_max = 10_000
    """It is not asked to serve more: some work for minutes at requests whose clients have left."""

    def __init__(self) -> None:
        self.first = CASES[0].request()
        """What it is asked until it answers."""
        self.port = 0
        self.idle_rss_mb = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """Write its settings to `folder` and return how it is started. May raise `NotHadError`."""

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """What it needs besides our own environment."""
        return {}

    def start(self, folder: Path, mock_ports: Sequence[int], core: int) -> None:
        """Start it on one core and wait until it answers. Raises `NotReadyError`."""
        folder.mkdir(parents=True)
        self.port = free_port()
        command = ["taskset", "-c", str(core), *self.command(folder, mock_ports)]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **self.environment(mock_ports)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                end = (folder / "log").read_text(errors="replace")[-500:]
                raise NotReadyError(f"{self.name} did not begin to answer. The end of what it wrote:\n{end}")
            time.sleep(0.1)
        self.idle_rss_mb = self.rss_mb()
        self.rest()

    def rest(self) -> None:
        """Let it finish what nobody waits for any more, then hold it still while others are measured."""
        deadline = time.monotonic() + SETTLE_S
        used_s = -1.0
        while self.cpu_s() > used_s + 0.02 and time.monotonic() < deadline:
            used_s = self.cpu_s()
            time.sleep(0.1)
        self._signal(signal.SIGSTOP)

    def work(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        time.sleep(self.recovery_s)

    def stop(self) -> None:
        """End it."""
        self.work()
        if self._process is not None:
            processes.end(self._process)

    def cpu_s(self) -> float:
        """CPU time it has used so far."""
        return processes.cpu_s(self._process.pid) if self._process else 0.0

    def rss_mb(self) -> float:
        """Memory it has now."""
        return processes.rss_mb(self._process.pid) if self._process else 0.0

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        head, _, body = self.first.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("POST", "/v1/chat/completions", body, fields)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class Direct(Contender):
    """No gateway at all: what the rig can do, and what its own way through the kernel takes."""

    name = "direct"

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """Nothing is started."""
        raise NotImplementedError

    def start(self, folder: Path, mock_ports: Sequence[int], core: int) -> None:
        """Load the mock itself."""
        self.port = mock_ports[0]


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
