"""The signals that end a process: how often it was told, and by which.

Law: the first one asks, the second one means it.
"""

import asyncio
import signal


class Signals:
    """SIGTERM and SIGINT, in the order they come; more than two say nothing new."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._told: list[asyncio.Future[int]] = [loop.create_future(), loop.create_future()]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._tell, number)

    async def first(self) -> int:
        """Wait for the first."""
        return await self._told[0]

    async def second(self) -> int:
        """Wait for the second."""
        return await self._told[1]

    def _tell(self, number: int) -> None:
        for future in self._told:
            if not future.done():
                future.set_result(number)
                return
