"""The host's life: make the agent, open it, serve it until SIGTERM, close it.

Law: until it serves, SIGTERM ends the process at once; afterwards answers under way may finish. A class or an option that
is wrong is told as final; whatever else goes wrong ends the process, and the driver may try again.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

from toque.agents.child import StatusPipe, listen_address
from toque.agents.host import HostOrder
from toque.agents.host_routes import HostRoutes, Lock
from toque.agents.load_page import open_load_page
from toque.model.agent_spec import Secret
from toque.model.errors import ConfigError
from toque.model.service_spec import LimitSpec
from toque.ports import InferenceAgent
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

DRAIN_S = 5.0
"""After SIGTERM, answers under way may take this long; normally there are none, for a pool drains first."""

_FINAL = (ImportError, AttributeError, TypeError, ConfigError)
"""What a wrong name or a wrong option raises: trying again cannot help."""


def run(order: HostOrder, secret: Secret, pipe: StatusPipe) -> None:
    """Serve until SIGTERM."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_live(order, secret, pipe))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _live(order: HostOrder, secret: Secret, pipe: StatusPipe) -> None:
    agent = _make(order, pipe)
    await _call(agent, "open")
    pipe.loaded()
    routes = HostRoutes(agent, order.model)
    handler = AsgiHandler(Lock(routes.application(), secret))
    server = await serve(listen_address(), handler, LimitSpec())
    try:
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        async with open_load_page(order.model, lambda: routes.load(order.slots)):
            pipe.ready(server.port)
            await stopped.wait()
            await server.drain(DRAIN_S)
    finally:
        await server.close()
        await handler.close()
        await _call(agent, "close")


def _make(order: HostOrder, pipe: StatusPipe) -> InferenceAgent:
    module, _, name = order.class_path.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` has it; all of ours is imported already
    try:
        agent: InferenceAgent = getattr(import_module(module), name)(**order.options)
    except _FINAL as error:
        pipe.failed(f"The agent {order.class_path} cannot be made: {error}")
        raise
    return agent


async def _call(agent: InferenceAgent, name: str) -> None:
    """Await the agent's `open` or `close`, where it has one."""
    method: Callable[[], Awaitable[None]] | None = getattr(agent, name, None)
    if method is not None:
        await method()
