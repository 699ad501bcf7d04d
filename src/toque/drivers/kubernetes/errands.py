"""Tasks with an owner: whatever was begun is ended with it.

Law: a task that fails is a bug of ours and is told as such; nobody waits for it in vain.
"""

import asyncio
from collections.abc import Coroutine


class Errands:
    """Begins tasks, and ends those that are left."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, errand: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run it beside everything else."""
        task = asyncio.create_task(errand)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what is left and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "A task of the driver failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
