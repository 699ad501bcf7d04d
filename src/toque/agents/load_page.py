"""The load of a replica that stands alone, for whoever picks endpoints: `GET /metrics` at an address of its own, without its secret.

Law: three numbers and the model's name, nothing else; nobody listens where nobody said so.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from threading import Thread

from toque.model.load import ADAPTERS, CACHE, NO_ADAPTERS, QUEUED, RUNNING, Load
from toque.model.service_spec import LimitSpec
from toque.ports import CHILD_METRICS
from toque.wire.asgi import Application, AsgiHandler, Message, Receive, Send
from toque.wire.server import serve

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def encode_load(model: str, load: Load, told_at: float) -> str:
    """Write a load in Prometheus' text form; `told_at` is the wall clock."""
    label = f'model_name="{_escaped(model)}"'
    adapters = ",".join(f'{name}="{value}"' for name, value in NO_ADAPTERS.items())
    gauges = (
        (RUNNING, "Requests that are worked on.", label, f"{load.running}"),
        (QUEUED, "Requests that wait for a slot.", label, f"{load.queued}"),
        (CACHE, "Share of the KV cache that is taken (0 to 1).", label, f"{load.cache_ratio:g}"),
        (ADAPTERS, "Adapters that are loaded; the value is when this was told.", adapters, f"{told_at:.3f}"),
    )
    return "".join(
        f"# HELP {name} {what}\n# TYPE {name} gauge\n{name}{{{labels}}} {value}\n"
        for name, what, labels, value in gauges
    )


def load_page(model: str, read: Callable[[], Load]) -> Application:
    """Make the ASGI application; `read` is called for each answer."""

    async def answer(scope: Message, _receive: Receive, send: Send) -> None:
        is_asked = scope["method"] in {"GET", "HEAD"} and scope["path"] == "/metrics"
        now = time.time()  # noqa: TID251 - a metric carries the wall clock
        text = encode_load(model, read(), now) if is_asked else "There is GET /metrics.\n"
        fields = [(b"content-type", CONTENT_TYPE)]
        await send({"type": "http.response.start", "status": 200 if is_asked else 404, "headers": fields})
        await send({"type": "http.response.body", "body": text.encode()})

    return answer


@asynccontextmanager
async def open_load_page(model: str, read: Callable[[], Load]) -> AsyncGenerator[None]:
    """Listen where whoever started this replica said, if anywhere. Raises `OSError` where that cannot be."""
    host, _, port = os.environ.get(CHILD_METRICS, "").rpartition(":")
    if not host:
        yield
        return
    handler = AsgiHandler(load_page(model, read))
    server = await serve((host, int(port)), handler, LimitSpec())
    try:
        yield
    finally:
        await server.close()
        await handler.close()


def open_load_page_beside(model: str, read: Callable[[], Load]) -> None:
    """The same in a thread of its own, beside an engine without an event loop, until the process ends. Returns once it listens."""
    listening: Future[None] = Future()
    Thread(target=asyncio.run, args=(_stay_open(model, read, listening),), daemon=True).start()
    listening.result()


async def _stay_open(model: str, read: Callable[[], Load], listening: "Future[None]") -> None:
    try:
        async with open_load_page(model, read):
            listening.set_result(None)
            await asyncio.Event().wait()
    except OSError as error:
        listening.set_exception(error)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
