"""A trace through a real `toque up`: its own process, its replicas as processes, its clients on sockets.

Law: what happened is read from the service's own journal, so that live and simulated are measured by the same code.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toque.model.messages import (
    Abandoned,
    Arrived,
    Dispatch,
    Effect,
    Event,
    Failed,
    Finished,
    Refuse,
    ReplicaReady,
    StartReplica,
)
from toque.model.spec import FleetSpec
from toque.records.journal import JournalReader, Step
from toque.sim.arrival import Arrival
from toque.sim.engine import Request, Watcher

PATIENCE_S = 600.0
WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "knoll",
    "ledge",
    "marsh",
)


@dataclass(frozen=True)
class Run:
    """What a live run left behind: its specs, its requests as they arrived, and its steps, all from its birth at 0."""

    spec: FleetSpec
    arrivals: Sequence[Arrival]
    cold_starts_s: Sequence[float]
    steps: Sequence[Step]

    def served(self) -> list["Served"]:
        """Every request with the seconds it had its slot."""
        keeper = _Keeper()
        watch(self, keeper)
        return keeper.served


@dataclass(frozen=True)
class Served:
    """One request and the seconds it had its slot."""

    arrival: Arrival
    service_s: float


def run_live(settings: str, arrivals: Sequence[Arrival], folder: Path) -> Run:
    """Serve the arrivals and return what the journal says."""
    folder.mkdir(parents=True, exist_ok=True)
    config, journal = folder / "toque.toml", folder / "journal.jsonl"
    config.write_text(f'listen = "127.0.0.1:0"\nadmin_listen = "off"\nrecords = {{ access_log = "" }}\n{settings}')
    command = [sys.executable, "-m", "toque", "up", "--json", "--config", str(config), "--record-journal", str(journal)]
    environment = {**os.environ, "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as up:
        try:
            asyncio.run(_send(_wait_for_service(up), arrivals))
        finally:
            up.send_signal(signal.SIGINT)  # drains; nothing is in flight any more
            up.communicate(timeout=PATIENCE_S)
    return read_run(journal)


def read_run(path: Path) -> Run:
    """Read a journal up to the end of its last request. Tokens are those that the answers told."""
    with JournalReader(path) as journal:
        spec, born = journal.header.spec, journal.header.born
        steps = [(now - born, event, effects) for now, event, effects in journal.steps()]
    last = max(number for number, step in enumerate(steps) if _ends_request(step))
    steps = steps[: last + 1]
    told = {event.ticket_id: event for _, event, _ in steps if isinstance(event, Finished)}
    arrivals = [
        Arrival(now, told[event.ticket.id].prompt_tokens, told[event.ticket.id].output_tokens)
        for now, event, _ in steps
        if isinstance(event, Arrived) and event.ticket.id in told
    ]
    return Run(spec, arrivals, _cold_starts(steps), steps)


def watch(run: Run, watcher: Watcher) -> None:
    """Tell a watcher of simulations what happened live."""
    requests: dict[int, Request] = {}
    upcoming = iter(run.arrivals)
    for now, event, effects in run.steps:
        watcher.step(now, event, effects)
        if isinstance(event, Arrived):
            requests[event.ticket.id] = Request(next(upcoming))
        for effect in effects:
            if isinstance(effect, Dispatch):
                request = requests[effect.ticket_id]
                request.dispatched_at, request.replica_id = now, effect.replica_id
                request.cold_start_s = effect.cold_start_s
        if isinstance(event, Finished):
            request = requests.pop(event.ticket_id)
            request.first_at = (request.dispatched_at or now) + event.ttft_s
            watcher.ended(request, now)


class _Keeper:
    """Keeps every request that ended."""

    def __init__(self) -> None:
        self.served: list[Served] = []

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Steps are of no interest."""

    def ended(self, request: Request, now: float) -> None:
        """Keep one."""
        assert request.dispatched_at is not None
        self.served.append(Served(request.arrival, now - request.dispatched_at))


def _ends_request(step: tuple[float, Event, Iterable[Effect]]) -> bool:
    _, event, effects = step
    if isinstance(event, (Abandoned, Failed)) or any(isinstance(effect, Refuse) for effect in effects):
        raise SystemExit(f"a request was not served, so there is nothing to compare: {event} {effects}")
    return isinstance(event, Finished)


def _cold_starts(steps: Sequence[Step]) -> list[float]:
    ordered = {
        effect.replica_id: now for now, _, effects in steps for effect in effects if isinstance(effect, StartReplica)
    }
    return [now - ordered[event.replica_id] for now, event, _ in steps if isinstance(event, ReplicaReady)]


def _wait_for_service(up: "subprocess.Popen[str]") -> str:
    """Return the URL once a replica is ready."""
    url = ""
    assert up.stdout is not None
    for line in up.stdout:
        told = json.loads(line)
        url = told.get("url", url)
        if told["announcement"] == "ModelReady":
            return str(url)
    raise SystemExit("the service did not come up")


async def _send(url: str, arrivals: Sequence[Arrival]) -> None:
    """Send every request at its time, whatever became of those before."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    chance = random.Random(1)
    async with asyncio.TaskGroup() as group:
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, began + arrival.at - loop.time()))
            group.create_task(_ask(url, arrival, chance))


async def _ask(url: str, arrival: Arrival, chance: random.Random) -> None:
    """Ask for one answer. Words are drawn, so that no engine knows the beginning of a prompt already."""
    address = urlsplit(url)
    content = " ".join(chance.choices(WORDS, k=max(1, arrival.prompt_tokens)))
    asked = {
        "model": "chat",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": arrival.output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read(-1)
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a request failed: {answer[:300]!r}")
