"""How a kubelet speaks with the API server: asynchronously, as administrator, and again after whatever goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.cluster.rig.api import Object, RefusedError, trusting

AGAIN_S = 0.3
CALL_S = 10.0
WATCH_S = 300
UNREACHABLE = (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError)


async def lapse(seconds: float) -> None:
    """Let that much time go by: a kubelet does things in its own time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Link:
    """Opened and closed on the loop that it is used on."""

    def __init__(self, url: str, authority: Path, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        limits = httpx2.Limits(max_connections=20)
        self._client = httpx2.AsyncClient(
            base_url=url, verify=trusting(authority), headers=headers, timeout=CALL_S, limits=limits
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """Make one call. Raises `RefusedError` for an answer that is an error."""
        content = None if body is None else json.dumps(body)
        answer = await self._client.request(method, path, content=content, headers={"Content-Type": kind})
        if answer.status_code >= 400:
            raise RefusedError(answer.status_code, answer.text)
        return answer.json()

    async def insist(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """Call until it is answered and not refused for want of time; None where it is refused for good."""
        while True:
            try:
                return await self.call(method, path, body, kind)
            except RefusedError as refused:
                if refused.status < 500 and refused.status != 429:
                    return None
            except UNREACHABLE:
                pass
            await lapse(AGAIN_S)

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Yield changes after a resource version, until the server ends it. Raises `RefusedError` where they are not known any more."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_S)}
        async with self._client.stream("GET", path, params=query, timeout=None) as answer:
            if answer.status_code >= 400:
                raise RefusedError(answer.status_code, (await answer.aread()).decode())
            async for line in answer.aiter_lines():
                told = json.loads(line)
                if told["type"] == "ERROR":
                    raise RefusedError(told["object"].get("code", 500), str(told["object"]))
                yield told["type"], told["object"]
