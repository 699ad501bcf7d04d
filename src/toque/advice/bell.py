"""A bell: wakes everybody who waits for the next news.

Law: it keeps nothing. Who was not waiting has missed nothing either, as long as it looks before it waits.
"""

import asyncio


class Bell:
    """Made on the event loop it is rung on."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits."""
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next ring."""
        await self._rung.wait()
