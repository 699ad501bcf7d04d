"""Replicas for tests: a child process as a driver would launch it, started and ended without an event loop."""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.request import Request, urlopen

import msgspec

from toque.model.agent_spec import ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.ports import CHILD_PARENT_PID, CHILD_STATUS_FD, AgentKind, Launch


class Told(msgspec.Struct):
    """One line of the status pipe."""

    phase: str
    port: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Replica:
    """A child that is ready, and how to ask for its counters."""

    endpoint: Endpoint
    process: subprocess.Popen[bytes]

    def page(self, path: str) -> str:
        """What a GET on a path outside the prefix answers."""
        assert self.endpoint.key is not None
        url = f"http://{self.endpoint.host}:{self.endpoint.port}{path}"
        request = Request(url, headers={"Authorization": f"Bearer {self.endpoint.key.reveal()}"})
        with urlopen(request, timeout=5) as answer:
            return answer.read().decode()

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = (line.partition(" ") for line in self.page("/metrics").splitlines())
        return next(float(rest) for found, _, rest in lines if found == name)


@contextmanager
def running(kind: AgentKind, model: ModelSpec) -> Iterator[Replica]:
    """Launch a replica, wait until it is ready, and end it by its process id."""
    secret = Secret(secrets.token_urlsafe(24))
    launch = kind.launch(model, secret)
    assert launch is not None
    with launched(launch) as (process, status):
        told = last_told(status, process)
        assert told.phase == "ready", told
        yield Replica(Endpoint("127.0.0.1", told.port, key=secret), process)


@contextmanager
def launched(launch: Launch) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a child; yield it and its status pipe."""
    reading, writing = os.pipe()
    wiring = {CHILD_STATUS_FD: str(writing), CHILD_PARENT_PID: str(os.getpid())}
    with os.fdopen(reading, "rb") as status, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            launch.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
            | dict(launch.environment)
            | wiring,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        try:
            yield process, status
        finally:
            end(process)


def last_told(status: IO[bytes], process: subprocess.Popen[bytes]) -> Told:
    """Read until the child is ready, says that it never will be, or is gone."""
    told = Told("nothing")
    for line in status:
        told = msgspec.json.decode(line, type=Told)
        if told.phase in {"ready", "failed"}:
            return told
    raise AssertionError(f"The child ended with {process.wait(5)} after it told {told}.")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
