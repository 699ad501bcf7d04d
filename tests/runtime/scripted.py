"""A driver that does what a test tells it, and a waiter that remembers what it was told."""

import asyncio
from collections.abc import Callable

from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.endpoint import Endpoint
from toque.model.messages import Event, ReplicaHealthy, ReplicaReady, ReplicaStopped
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec
from toque.model.ticket import FallbackCause, RefusalReason
from toque.ports import ReplicaStatus

AMPLE = Resources(memory_bytes=2**40, cores=64)


class ScriptedDriver:
    """Replicas are ready `start_s` after their start; a start listed in `broken` raises."""

    def __init__(self, start_s: float = 0.0, error: Exception | None = None) -> None:
        self.report: Callable[[Event], None] = lambda event: None
        self.started: list[int] = []
        self.stopped: list[int] = []
        self.probed: list[int] = []
        self._start_s = start_s
        self._error = error

    def start(self, replica_id: int, model: ModelSpec) -> None:
        if self._error is not None:
            raise self._error
        self.started.append(replica_id)
        asyncio.get_running_loop().call_later(self._start_s, self.report, ReplicaReady(replica_id))

    def stop(self, replica_id: int) -> None:
        self.stopped.append(replica_id)
        asyncio.get_running_loop().call_soon(self.report, ReplicaStopped(replica_id))

    def probe(self, replica_id: int) -> None:
        self.probed.append(replica_id)
        asyncio.get_running_loop().call_soon(self.report, ReplicaHealthy(replica_id))

    def endpoint(self, replica_id: int) -> Endpoint | None:
        return Endpoint("127.0.0.1", 1) if replica_id in self.started else None

    def is_ours(self, replica_id: int) -> bool:
        return replica_id in self.started

    def status(self, replica_id: int) -> ReplicaStatus:
        return ReplicaStatus(pid=replica_id)

    async def close(self) -> None:
        return


class RememberingWaiter:
    """Keeps every grant and the refusal."""

    def __init__(self) -> None:
        self.grants: list[tuple[int, float]] = []
        self.diversions: list[tuple[str, FallbackCause]] = []
        self.refusal: RefusalReason | None = None
        self.told = asyncio.Event()

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        self.grants.append((replica_id, cold_start_s))
        self.told.set()

    def diverted(self, pool: str, cause: FallbackCause) -> None:
        self.diversions.append((pool, cause))

    def refused(self, reason: RefusalReason, retry_after_s: float, fallback: str) -> None:
        self.refusal = reason
        self.told.set()


def fleet_of(*pools: PoolSpec) -> FleetSpec:
    return FleetSpec(pools, AMPLE)


def model_of(pool: PoolSpec) -> ModelSpec:
    return ModelSpec(pool, AgentSpec())
