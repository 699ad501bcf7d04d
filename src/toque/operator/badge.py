"""The badge: a label on the Pod of the controller that leads, so that a Service finds whoever decides.

Law: nobody decides by it. It is written after the fact and as soon as it can be; outside of a cluster there is no Pod to wear it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from toque.kube.trouble import TROUBLE, Backoff, is_hopeless

Pin = Callable[[bool], Awaitable[None]]
"""Put the label on (True), or take it off. Raises one of `TROUBLE`."""


class Badge:
    """`turn` says what is so now; the last word counts."""

    def __init__(self, pin: Pin) -> None:
        self._pin = pin
        self._is_leading = False
        self._changed = asyncio.Event()
        self._changed.set()  # what a container before us in this Pod wore is taken off
        self._backoff = Backoff(asyncio.Event())
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End; a Pod that ends wears nothing for long."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def turn(self, *, is_leading: bool) -> None:
        """We lead, or do so no more."""
        self._is_leading = is_leading
        self._changed.set()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._pin(self._is_leading)
            except TROUBLE as error:
                if not is_hopeless(error):
                    self._changed.set()
                    await self._backoff.pause(error)
            else:
                self._backoff.reset()
