"""The ledger: what each model's start took and what its replica takes on this machine, remembered between runs.

Law: it holds measurements only (seconds by phase, bytes); a torn or foreign file is ignored, never trusted; it is written
whole (temporary file, then rename) and off the event loop.
"""

import asyncio
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec

from toque.model.messages import Event, ReplicaFailed, ReplicaLoaded, ReplicaReady, ReplicaSpawned, ReplicaStopped
from toque.model.resources import Resources
from toque.model.spec import ColdStart


class Entry(msgspec.Struct, frozen=True):
    """One model on one machine: phases in seconds, memory in bytes, and how many starts were measured."""

    spawn_s: float
    load_s: float
    warm_up_s: float
    memory_bytes: int
    starts: int

    @property
    def cold_start(self) -> ColdStart:
        """The phases as the core takes them."""
        return ColdStart(self.spawn_s, self.load_s, self.warm_up_s)


class Ledger:
    """A watcher of the controller."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: Mapping[str, str] = {}
        self._machine = f"{platform.node()}/{platform.machine()}"
        self._entries = _read(path)
        self._starts: dict[int, tuple[str, list[float]]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._is_being_written = asyncio.Lock()

    def follow(self, names: Mapping[str, str]) -> None:
        """Learn each pool's model by its identity (what a change of its settings changes too)."""
        self._names = names

    def entry(self, identity: str) -> Entry | None:
        """Return what is remembered of a model on this machine."""
        return self._entries.get(self._key(identity))

    def ordered(self, pool: str, replica_id: int, now: float) -> None:
        """A start begins."""
        self._starts[replica_id] = (pool, [now])

    def reported(self, event: Event, now: float) -> None:
        """Follow each start through its phases."""
        match event:
            case ReplicaSpawned(replica_id) | ReplicaLoaded(replica_id):
                if replica_id in self._starts:
                    self._starts[replica_id][1].append(now)
            case ReplicaReady(replica_id, footprint):
                self._started(replica_id, footprint, now)
            case ReplicaFailed(replica_id) | ReplicaStopped(replica_id):
                self._starts.pop(replica_id, None)
            case _:
                pass

    async def close(self) -> None:
        """Wait until what is known is on disk."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _started(self, replica_id: int, footprint: Resources, now: float) -> None:
        pool, times = self._starts.pop(replica_id, ("", []))
        if not pool:
            return
        started, spawned, loaded = (*times, *[now] * (3 - len(times)))
        identity = self._names.get(pool, pool)
        before = self.entry(identity)
        self._entries[self._key(identity)] = Entry(
            spawn_s=spawned - started,
            load_s=loaded - spawned,
            warm_up_s=now - loaded,
            memory_bytes=footprint.memory_bytes or (before.memory_bytes if before else 0),
            starts=before.starts + 1 if before else 1,
        )
        task = asyncio.get_running_loop().create_task(self._save())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _save(self) -> None:
        async with self._is_being_written:  # several replicas may become ready at once, and there is one file
            await asyncio.to_thread(_write, self._path, dict(self._entries))

    def _key(self, identity: str) -> str:
        return f"{identity}@{self._machine}"


def _read(path: Path) -> dict[str, Entry]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Entry])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(path: Path, entries: dict[str, Entry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(entries), indent=1))
    fresh.replace(path)
