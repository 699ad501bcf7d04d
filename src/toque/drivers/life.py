"""The life of one replica that is a child process: start-up, service, end.

Law: it is told in order and has one end: ReplicaStopped if that was ordered, else ReplicaFailed; either only when nothing
of the child is left.
"""

import asyncio
import signal

from toque.drivers.cage import Cage
from toque.drivers.child import Child
from toque.drivers.health import Health
from toque.drivers.leftovers import Leftovers
from toque.drivers.process_table import measure_group_bytes
from toque.drivers.ring import OutputRing
from toque.drivers.site import Site
from toque.drivers.status import Phase, Status
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.condition import FailureCause
from toque.model.endpoint import Endpoint
from toque.model.messages import (
    Event,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
)
from toque.model.resources import Resources, mebibytes
from toque.ports import Launch, ReplicaStatus
from toque.wire.connections import Connections

STOP_GRACE_S = 10.0
"""From SIGTERM to SIGKILL: time for an engine to free a device, and what container platforms give at least."""
LAST_LINES = 50


class ReplicaLife:
    """One replica, from its order to its end. `live()` is that life; the rest looks at it or ends it."""

    def __init__(
        self, replica_id: int, model: ModelSpec, launch: Launch, secret: Secret, site: Site, cage: Cage
    ) -> None:
        self._id = replica_id
        self._model = model
        self._launch = launch
        self._cage = cage
        self._secret = secret
        self._site = site
        self._report = site.report
        self._output = OutputRing(secret)
        loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[None] = loop.create_future()
        self._port: asyncio.Future[int] = loop.create_future()
        self._child: Child | None = None
        self._health: Health | None = None
        self._refusal = ""
        self._progress_ratio = 0.0
        self._memory_bytes = 0
        self._memory_kills = site.memory_kills()
        self.endpoint: Endpoint | None = None

    def stop(self) -> None:
        """Order the end. Harmless when ordered before."""
        if not self._stop.done():
            self._stop.set_result(None)

    def probe(self) -> None:
        """Ask whether it is well. Before it is ready and after its end, what is reported anyway is the answer."""
        if self._health is not None:
            self._health.ask()

    def is_alive(self) -> bool:
        """Whether the very process behind the endpoint runs, by the kernel's word."""
        return self._child is not None and self._child.is_alive()

    def status(self) -> ReplicaStatus:
        """What is known for display."""
        pid = self._child.pid if self._child else 0
        return ReplicaStatus(pid, self._progress_ratio, self._memory_bytes, self._output.last_lines(LAST_LINES))

    async def live(self, leftovers: Leftovers) -> None:
        """Run the child until its end and report that. Cancelled: it is killed at once and nothing more reported."""
        async with self._cage:
            end = await self._live(leftovers)
        self._report(end)

    async def _live(self, leftovers: Leftovers) -> ReplicaStopped | ReplicaFailed:
        try:
            self._child = child = Child(self._launch, self._site.environment, self._output, self._hear)
        except OSError as error:
            return ReplicaFailed(self._id, FailureCause.EXITED, f"could not be started: {error.strerror}")
        page = leftovers.record(child.pid)
        try:
            await self._cage.admit(child.pid)
            failure = await self._until_over(child)
        except asyncio.CancelledError:
            child.kill()
            raise
        finally:
            self.endpoint = None
            await child.end(STOP_GRACE_S)
            leftovers.strike(page)
        return ReplicaStopped(self._id) if failure is None or self._stop.done() else failure

    async def _until_over(self, child: Child) -> ReplicaFailed | None:
        """Whichever comes first: 1. the order to stop (None), 2. giving the replica up, which kills it, 3. a death."""
        serving = asyncio.create_task(self._serve(child))
        try:
            over: set[asyncio.Future[None] | asyncio.Future[int] | asyncio.Task[ReplicaFailed]]
            over = {self._stop, child.exited, serving}
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.done():  # 1
                return None
            if serving.done():  # 2
                return serving.result()
            return self._death(child)  # 3
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _death(self, child: Child) -> ReplicaFailed:
        if self._refusal:
            return ReplicaFailed(self._id, FailureCause.INVALID_MODEL, self._refusal)
        if child.exited.result() == -signal.SIGKILL and (reason := self._memory_reason()):
            return ReplicaFailed(self._id, FailureCause.OUT_OF_MEMORY, reason)
        return ReplicaFailed(self._id, FailureCause.EXITED, child.exit_sentence())

    def _memory_reason(self) -> str:
        """Say that the kernel killed it for want of memory, its own or the machine's; empty where it did not."""
        if self._cage.memory_kills():
            return f"killed at its memory limit of {mebibytes(self._model.isolation.memory_bytes_max)}"
        if self._site.memory_kills() > self._memory_kills:
            return "killed by the kernel (signal 9, out of memory)"
        return ""

    async def _serve(self, child: Child) -> ReplicaFailed:
        """Wait until it is ready, then watch its health. Returns why it is to be given up."""
        timeout_s = self._model.pool.replicas.startup_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                port = await self._port
        except TimeoutError:
            reason = f"was not ready within {timeout_s:g} s"
            return ReplicaFailed(self._id, FailureCause.START_TIMEOUT, reason)
        self._memory_bytes = await asyncio.to_thread(measure_group_bytes, child.pid)
        probes = Connections(Endpoint("127.0.0.1", port, "", key=self._secret), idle_max=1, is_ours=self.is_alive)
        self._health = Health(probes, self._model.agent.health_interval_s, lambda: self._tell(ReplicaHealthy(self._id)))
        self.endpoint = Endpoint("127.0.0.1", port, key=self._secret)
        self._tell(ReplicaReady(self._id, Resources(self._memory_bytes, float(self._model.agent.threads))))
        try:
            await self._health.watch()
        finally:
            await probes.close()
        child.kill()
        return ReplicaFailed(self._id, FailureCause.UNHEALTHY, "did not answer its health probes")

    def _tell(self, event: Event) -> None:
        """Report, unless the end was ordered: from then on only the end is news."""
        if not self._stop.done():
            self._report(event)

    def _hear(self, status: Status) -> None:
        """Take a status of the child."""
        match status.phase:
            case Phase.SPAWNED:
                self._tell(ReplicaSpawned(self._id))
            case Phase.LOADING:
                self._advance(status.progress)
            case Phase.LOADED:
                self._advance(1.0)
                self._tell(ReplicaLoaded(self._id))
            case Phase.READY if not self._port.done():
                self._port.set_result(status.port)
            case Phase.FAILED:
                self._refusal = status.reason
            case _:
                pass

    def _advance(self, progress_ratio: float) -> None:
        self._progress_ratio = min(max(self._progress_ratio, progress_ratio), 1.0)
        self._site.progress(self._id, self._progress_ratio)
