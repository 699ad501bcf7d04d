"""What it costs to hold many: 10,000 idle keep-alive connections, and 5,000 streams at once, in memory and in time.

python bench/gateway/held.py [--idle N] [--streams N] [--seconds S] [--json FILE]   (about a minute; needs Linux, a C compiler, two cores)

Each idle connection has had one answer. Event-loop lag is told as clients feel it: how much later than at the mock a chunk
arrives, and what a request takes while the idle ones are swept.
"""

import argparse
import json
import os
import resource
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import install
from cases import Case
from contender import Contender, NotReadyError
from contenders import Toque
from rig import Figures, Rig, RigError, build

PACE_US = 100_000
WARM_S_PER_STREAM = 0.0014
"""A stream has 64 chunks: all are under way, and the first ones answered, before anything is counted."""
LOAD_S = 10.0
ANSWER_S = 30.0


class RoomyToque(Toque):
    """With slots for all streams at once."""

    slots = 1024


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections (default 10,000)")
    parser.add_argument("--streams", type=int, default=5_000, help="streams at once (default 5,000)")
    parser.add_argument("--seconds", type=float, default=LOAD_S, help=f"of the streams (default {LOAD_S:g})")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        found = measure(args.idle, args.streams, args.seconds)
    except (RigError, NotReadyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, figure in found.items():
        print(f"{name:48} {figure:12,.2f}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def measure(idle: int, streams: int, seconds: float) -> dict[str, float]:
    """Start the rig, and a gateway for either, so that neither has the other's memory. Raises `RigError`, `NotReadyError`."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RigError("The benchmark needs two cores: one for the gateway, one for mock and load.")
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        install.FOLDER.mkdir(exist_ok=True)
        rig = stack.enter_context(Rig(build(install.FOLDER), cores[1], Path(folder)))
        for name, measure_it, count in (("idle", measure_idle, idle), ("streams", measure_streams, streams)):
            toque = RoomyToque()
            stack.callback(toque.stop)
            toque.start(Path(folder) / name, rig.ports, cores[0])
            toque.work()
            found |= measure_it(rig, toque, count, seconds)
            toque.stop()
    return found


def measure_idle(rig: Rig, toque: Contender, count: int, seconds: float) -> dict[str, float]:
    """Open so many connections, each with one answer, and let them be."""
    plain = Case("plain, 1 connection", 1)
    alone = _load(rig, toque, plain, seconds / 4)
    before_mb = toque.rss_mb()
    with ExitStack() as stack:
        began = time.monotonic()
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", toque.port)))
            _ask(connection, plain.request())
        opened_s = time.monotonic() - began
        held_mb = toque.rss_mb() - before_mb
        used_s = toque.cpu_s()
        time.sleep(seconds / 2)
        used_s = toque.cpu_s() - used_s
        beside = _load(rig, toque, plain, seconds / 4)
    return {
        "idle connections": count,
        "opened and answered, us each": opened_s / count * 1e6,
        "memory, kB an idle connection": held_mb * 1e3 / count,
        "share of a core while all are idle": used_s / (seconds / 2),
        "request alone, p50 us": alone.total_us[0],
        "request beside them, p50 us": beside.total_us[0],
        "request alone, p99 us": alone.total_us[1],
        "request beside them, p99 us": beside.total_us[1],
    }


def measure_streams(rig: Rig, toque: Contender, count: int, seconds: float) -> dict[str, float]:
    """Hold so many streams, each with a chunk every PACE_US."""
    before_mb = toque.rss_mb()
    began: list[float] = []
    case = Case("streams", count, streams=True, pace_us=PACE_US)
    figures = rig.load(case, toque.port, 1 + count * WARM_S_PER_STREAM, seconds, lambda: began.append(toque.cpu_s()))
    if not began:
        raise RigError(
            f"{figures.errors} streams failed before all were under way (last status {figures.last_status})."
        )
    used_s = toque.cpu_s() - began[0]
    return {
        "streams": count,
        "errors": figures.errors,
        "chunks a second": figures.chunks / figures.seconds,
        "share of a core": used_s / figures.seconds,
        "CPU us a chunk": used_s / figures.chunks * 1e6,
        "memory, kB a stream": (toque.rss_mb() - before_mb) * 1e3 / count,
        "a chunk's way, p50 us": figures.chunk_way_us[0],
        "a chunk's way, p99 us": figures.chunk_way_us[1],
    }


def _load(rig: Rig, toque: Contender, case: Case, seconds: float) -> Figures:
    return rig.load(case, toque.port, 0.5, seconds, lambda: None)


def _ask(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer. Raises `RigError` for one that is refused."""
    connection.settimeout(ANSWER_S)
    connection.sendall(request)
    answer = connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RigError(f"The gateway refused: {answer[:200]!r}")


if __name__ == "__main__":
    sys.exit(main())
