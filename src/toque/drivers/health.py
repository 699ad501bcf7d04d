"""Health probes of one replica.

Law: one failure is a busy machine, FAILURES_MAX in a row are a dead replica; a probe that was asked for is answered either
by `healthy()` or by the end. Who is only paused for five seconds survives: three probes of two seconds see through that.
"""

import asyncio
from collections.abc import Callable

from toque.model.errors import UpstreamError
from toque.model.ticket import FailureKind
from toque.wire.call import call
from toque.wire.connections import Connections

FAILURES_MAX = 3
PROBE_TIMEOUT_S = 2.0


class Health:
    """Asks GET /health every `interval_s`, and at once when told to."""

    def __init__(self, connections: Connections, interval_s: float, healthy: Callable[[], None]) -> None:
        self._connections = connections
        self._interval_s = interval_s
        self._healthy = healthy
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Probe now and tell what comes of it."""
        self._asked.set()

    async def watch(self) -> None:
        """Return when the replica is to be given up."""
        failures = 0
        while failures < FAILURES_MAX:
            await self._pause()
            failures = 0 if await is_well(self._connections) else failures + 1
            if self._asked.is_set() and not failures:
                self._asked.clear()
                self._healthy()

    async def _pause(self) -> None:
        """Wait for the next interval; somebody who asked is not kept waiting, nor between failures."""
        try:
            async with asyncio.timeout(self._interval_s):
                await self._asked.wait()
        except TimeoutError:
            return


async def is_well(connections: Connections) -> bool:
    """Ask once. It is well, too, when it is us who have no descriptor to ask with."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), call(connections, "GET", "/health") as reply:
            await reply.read(bytes_max=64 * 1024)
            return reply.status == 200
    except (TimeoutError, UpstreamError) as error:
        return isinstance(error, UpstreamError) and error.kind is FailureKind.BUSY
