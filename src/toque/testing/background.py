"""A bridge for tests that have no event loop: what is an `async with` elsewhere runs in a loop of its own thread.

Law: when the block ends the thread has ended, and whatever it ran is closed.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def in_background(service: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter `service` in a loop of a thread of its own, and leave it at the end of the block."""
    opened: Future[T] = Future()
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, service, opened, stopped), name="toque.testing")
    thread.start()
    try:
        yield opened.result()
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopped.set)
        thread.join()


def _run(
    loop: asyncio.AbstractEventLoop,
    service: AbstractAsyncContextManager[T],
    opened: "Future[T]",
    stopped: asyncio.Event,
) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_hold(service, opened, stopped))


async def _hold(service: AbstractAsyncContextManager[T], opened: "Future[T]", stopped: asyncio.Event) -> None:
    try:
        async with service as running:
            opened.set_result(running)
            await stopped.wait()
    except BaseException as failure:
        if opened.done():
            raise
        opened.set_exception(failure)
