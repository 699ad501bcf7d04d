"""A backlog of a million items: how long it takes in, what it costs in memory, and what people notice of it (O04).

Law: the items come the way they always come, as uploads of 50,000 lines; memory is the gateway's own process, read while it works.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chat import FAKE, FAKE_S, LOAD_RATIO, SLOTS, Load, Sides, compare
from served import Service, backlog, serving, until

LINES = 50_000
FILES = 20
MIB = 2**20


class Memory:
    """Reads a service's memory each 0.1 s while a block runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ends = threading.Event()
        self.highest = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the highest of what is read meanwhile."""
        self.highest = 0
        self._ends.clear()
        watching = threading.Thread(target=self._watch)
        watching.start()
        try:
            yield
        finally:
            self._ends.set()
            watching.join()

    def _watch(self) -> None:
        while not self._ends.wait(0.1):
            self.highest = max(self.highest, self._service.rss_bytes())


def million(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Take in the backlog, then talk beside it."""
    files, lines = (2, 1_000) if quick else (FILES, LINES)
    rounds, seconds = (1, 4.0) if quick else (5, 10.0)
    load = Load(LOAD_RATIO * SLOTS / FAKE_S, seconds, words=20, tokens_max=20)
    with serving(FAKE, folder) as service:
        memory = Memory(service)
        with memory.watched():
            quiet = [load.talk(service.door, number, number) for number in range(rounds)]
        idle = memory.highest
        began = time.monotonic()
        with memory.watched():
            batches, first = _take_in(service, files, lines)
        took_s, intake = time.monotonic() - began, memory.highest
        with memory.watched():
            before, began = service.completed(batches), time.monotonic()
            busy = [load.talk(service.door, number, 100 + number) for number in range(rounds)]
            per_s = (service.completed(batches) - before) / (time.monotonic() - began)
    return {
        "items": files * lines,
        "taken_in_s": took_s,
        "memory_talking_without_mib": idle / MIB,
        "memory_after_the_first_file_mib": first / MIB,
        "memory_taking_in_highest_mib": intake / MIB,
        "memory_talking_beside_it_highest_mib": memory.highest / MIB,
        "batch_items_per_s_beside_chat": per_s,
        "store_mib": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB,
        **compare(Sides(quiet, busy, [])),
    }


def _take_in(service: Service, files: int, lines: int) -> tuple[list[str], int]:
    """Upload and submit all; returns the batches, and the memory once the first was taken in."""
    batches: list[str] = []
    first = 0
    for number in range(files):
        batches.append(service.submit(service.upload(backlog(lines, 8, 20, number * lines))))
        until(lambda: service.batch(batches[-1])["status"] != "validating", within_s=300)
        first = first or service.rss_bytes()
    return batches, first
