"""What a kubelet asks a container: whether a port listens, or a page answers."""

import asyncio
from collections.abc import Callable

from tests.cluster.rig.api import Object
from tests.cluster.rig.link import lapse


class Probe:
    """One probe of a container at `address`; ports may be names of the container's."""

    def __init__(self, probe: Object, container: Object, address: str) -> None:
        named = {port["name"]: port["containerPort"] for port in container.get("ports", []) if "name" in port}
        self._what: Object = probe.get("tcpSocket") or probe.get("httpGet") or {}
        port = self._what.get("port", 0)
        self._port = int(named.get(port, port))
        self._path = str(self._what.get("path", "/")) if "httpGet" in probe else ""
        self._address = address
        self._period_s = float(probe.get("periodSeconds", 10))
        self._timeout_s = float(probe.get("timeoutSeconds", 1))
        self._delay_s = float(probe.get("initialDelaySeconds", 0))
        self._failures_max = int(probe.get("failureThreshold", 3))

    async def succeed(self) -> bool:
        """Ask until it is well (True), or has failed too often (False)."""
        await lapse(self._delay_s)
        for _ in range(self._failures_max):
            if await self._is_well():
                return True
            await lapse(self._period_s)
        return False

    async def follow(self, tell: Callable[[bool], None]) -> None:
        """Ask for ever, and tell each answer that counts: a failure counts when it has happened often enough."""
        await lapse(self._delay_s)
        failures = 0
        while True:
            failures = 0 if await self._is_well() else failures + 1
            if failures in (0, self._failures_max):
                tell(failures == 0)
            await lapse(self._period_s)

    async def _is_well(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(self._address, self._port)
                try:
                    return not self._path or await self._answers(reader, writer)
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {self._address}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        return len(status) > 1 and 200 <= int(status[1]) < 400
