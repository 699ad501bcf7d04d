"""Speaking with a replica in its Pod: whether it answers us, which its kubelet cannot know.

Law: nothing is sent to it but with its secret, and nothing to a Pod that is not its own any more.
"""

import asyncio
from collections.abc import Callable

from toque.drivers.health import FAILURES_MAX, is_well
from toque.model.endpoint import Endpoint
from toque.wire.connections import Connections

AGAIN_S = 0.5
"""Between tries to reach one that has just come up: routes and policies of a network follow a Pod within about this."""


async def reach(endpoint: Endpoint, is_ours: Callable[[], bool]) -> None:
    """Return when it answers."""
    never = asyncio.Event()
    while not await answers(endpoint, is_ours, tries=1):
        try:
            async with asyncio.timeout(AGAIN_S):
                await never.wait()
        except TimeoutError:
            continue


async def answers(endpoint: Endpoint, is_ours: Callable[[], bool], tries: int = FAILURES_MAX) -> bool:
    """Whether it answers one of so many questions."""
    connections = Connections(Endpoint(endpoint.host, endpoint.port, "", key=endpoint.key), idle_max=1, is_ours=is_ours)
    try:
        for _ in range(tries):
            if await is_well(connections):
                return True
        return False
    finally:
        await connections.close()
