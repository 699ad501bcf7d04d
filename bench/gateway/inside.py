"""What the gateway's own code costs, without sockets: microseconds of user space for a request, and for a chunk.

python bench/gateway/inside.py [--quick] [--profile] [--json FILE]   (about 20 s; the fastest of many batches counts, so a busy machine matters less)
valgrind --tool=callgrind python bench/gateway/inside.py --count 1000   (instructions, on which neighbours have no influence: a thousand
                                                                         plain requests are what it counts above --count 0)

Everything is on, as in service: key, validation, queue, routing over eight replicas, journal ring, metrics, access lines,
the loop and the settings of the garbage collector.
Only the transports are not real: what is written to a replica is forgotten, and its answer is handed in by us.
"""

import argparse
import asyncio
import cProfile
import hashlib
import json
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import uvloop
from cases import CASES, KEY, MODEL
from mocked import PORTS

from toque.app.fleet import open_fleet
from toque.app.service import settle_collector
from toque.gateway.auth import KeyRing
from toque.gateway.server import Gateway
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.resources import Resources
from toque.model.service_spec import KeySpec, RecordSpec, ServiceSpec
from toque.model.spec import PoolSpec, ReplicaBounds
from toque.records.access import AccessLog
from toque.records.metrics import Metrics

REPLICAS = 8
BATCHES = 40
QUICK_BATCHES = 3
BATCH = 250
CHUNKS = 64
WARM_UP = 300
"""Requests until the interpreter has specialised what it runs often."""

_EVENT = b'data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":[%b]}\n\n'
_PIECE = _EVENT % b'{"index":0,"delta":{"content":"%b"},"finish_reason":null}' % (b"x" * 50)
_LAST = _EVENT % b'{"index":0,"delta":{},"finish_reason":"stop"}'
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":128,"completion_tokens":64,"total_tokens":192}}\n\n'
_DONE = b"data: [DONE]\n\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_BODY = (
    b'{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":128,'
    b'"completion_tokens":64,"total_tokens":192}}' % (b"the quick brown fox " * 18)
)
_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Wire(asyncio.Transport):
    """Takes what is written and keeps only the last of it."""

    def __init__(self) -> None:
        super().__init__()
        self.last = b""

    def write(self, data: Any) -> None:
        """Forget what was written before."""
        self.last = data

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing to close."""

    def close(self) -> None:
        """Nothing to close."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is kept."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known."""
        return default


class ReplicaWire(Wire):
    """Tells the loop which replica's connection was written to."""

    def __init__(self, loop: "SocketlessLoop", protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol

    def write(self, data: Any) -> None:
        """Be the one that was asked."""
        self._loop.asked = self._protocol


class SocketlessLoop(uvloop.Loop):
    """The loop of the service, but its connections lead nowhere. `asked`: the replica's one that was written to last."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Any = None
        self.has_opened = asyncio.Event()

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        """Open one at once."""
        protocol = protocol_factory()
        wire = ReplicaWire(self, protocol)
        protocol.connection_made(wire)
        self.call_soon(self.has_opened.set)  # once the task has written what waited
        return wire, protocol

    async def create_server(self, protocol_factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        """Keep what makes a client's connection."""
        self.make_client = protocol_factory
        return _Nothing()


class _Nothing:
    sockets = ()

    def close(self) -> None:
        """Nothing is open."""


class Bench:
    """A client and the replica that happens to answer it."""

    def __init__(self, loop: SocketlessLoop) -> None:
        self._loop = loop
        self._client = loop.make_client()
        self._wire = Wire()
        self._client.connection_made(self._wire)

    async def warm_up(self, request: bytes) -> None:
        """Open a connection to each replica: they are routed to in turn."""
        for _ in range(REPLICAS):
            self._loop.has_opened.clear()
            self._client.data_received(request)
            await self._loop.has_opened.wait()  # the connection is opened by a task
            self._loop.asked.data_received(_PLAIN)
            assert self._wire.last.startswith(b"HTTP/1.1 200")

    def ask(self, request: bytes) -> Any:
        """Send a request and return the connection of the replica that got it."""
        self._client.data_received(request)
        return self._loop.asked

    def plain(self, request: bytes) -> None:
        """A request and its answer."""
        self.ask(request).data_received(_PLAIN)

    def stream(self, request: bytes, chunks_a_read: int) -> None:
        """A request, a stream of CHUNKS chunks, so many in one read, and its end."""
        replica = self.ask(request)
        replica.data_received(_STREAM_HEAD)
        read = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) * chunks_a_read
        for _ in range(CHUNKS // chunks_a_read):
            replica.data_received(read)
        end = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in (_LAST, _USAGE, _DONE))
        replica.data_received(end + b"0\r\n\r\n")


async def measure(batches: int, profile: bool, times: int | None = None) -> dict[str, float]:
    """Open a gateway without sockets and time it, or only let it answer so many plain requests."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SocketlessLoop)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spec = _settings(folder)
        fleet = await stack.enter_async_context(open_fleet(spec))
        access = AccessLog(stack.enter_context((folder / "access.log").open("ab", buffering=0)), time.time)
        access.open()
        stack.push_async_callback(access.close)
        keys = KeyRing(spec.keys)
        gateway = Gateway(fleet.controller, fleet.dialects, keys, spec.limits, metrics=Metrics(), access=access)
        await gateway.open(("127.0.0.1", 0))
        bench = Bench(loop)
        plain, new, large, stream = (CASES[number].request() for number in (1, 3, 4, 5))
        await bench.warm_up(plain)
        stamps = count(1)
        runs: dict[str, Callable[[], None]] = {
            "plain request": lambda: bench.plain(plain),
            "plain request, a new head": lambda: bench.plain(new.replace(b"0" * 12, b"%012d" % next(stamps))),
            "request of 64 kB": lambda: bench.plain(large),
            "stream of 64 chunks, 1 a read": lambda: bench.stream(stream, 1),
            "stream of 64 chunks, 8 a read": lambda: bench.stream(stream, 8),
        }
        if times is not None:
            for _ in range(WARM_UP + times):
                bench.plain(plain)
            return {}
        return {name: await _best_us(name, run, batches, profile) for name, run in runs.items()}


async def _best_us(name: str, run: Callable[[], None], batches: int, profile: bool) -> float:
    """Return the fastest batch's time a run; between batches the loop turns, so that timers and threads get theirs."""
    profiler = cProfile.Profile()
    best_s = float("inf")
    settle_collector()
    for _ in range(batches):
        if profile:
            profiler.enable()
        began = time.thread_time()
        for _ in range(BATCH):
            run()
        best_s = min(best_s, time.thread_time() - began)
        profiler.disable()
        await asyncio.sleep(0)
    if profile:
        print(f"==== {name}")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    return best_s / BATCH * 1e6


def _settings(folder: Path) -> ServiceSpec:
    pool = PoolSpec(MODEL, slots=256, replicas=ReplicaBounds(minimum_warm=REPLICAS, maximum=REPLICAS))
    return ServiceSpec(
        models=(ModelSpec(pool, AgentSpec(agent="fake")),),
        keys=(KeySpec("bench", hashlib.sha256(KEY.encode()).hexdigest(), frozenset({MODEL})),),
        records=RecordSpec(state_dir=str(folder)),
        capacity=Resources(2**34, 64.0),
        driver="mocked:MockedDriver",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three batches of each, to see that it works")
    parser.add_argument("--profile", action="store_true", help="show where the time goes, by cProfile")
    parser.add_argument("--count", metavar="N", type=int, help="answer N plain requests, for a tool that counts")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    args = parser.parse_args()
    os.environ[PORTS] = " ".join(str(port) for port in range(1, REPLICAS + 1))
    with asyncio.Runner(loop_factory=SocketlessLoop) as runner:
        found = runner.run(measure(QUICK_BATCHES if args.quick else BATCHES, args.profile, args.count))
    if not found:
        return
    found["a chunk, 1 a read"] = (found["stream of 64 chunks, 1 a read"] - found["plain request"]) / CHUNKS
    found["a chunk, 8 a read"] = (found["stream of 64 chunks, 8 a read"] - found["plain request"]) / CHUNKS
    for name, us in found.items():
        print(f"{name:32} {us:8.2f} us")
    if args.json:
        args.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
