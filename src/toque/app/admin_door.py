"""Where a controller is asked by `toque ps` and `toque why`.

Law: it needs nothing of Kubernetes, for a controller may stand alone.
"""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from toque.app.addresses import taken
from toque.gateway.admin import AdminSources, admin_app
from toque.model.announcement import Reloaded
from toque.model.errors import ConfigError
from toque.model.service_spec import LimitSpec, ServiceSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve as listen


@asynccontextmanager
async def open_admin(address: socket.socket | None, spec: ServiceSpec, sources: AdminSources) -> AsyncGenerator[int]:
    """Listen for `toque ps` and `toque why`; yields the port, 0 where nobody shall."""
    if address is None:
        yield 0
        return
    handler = AsgiHandler(admin_app(sources))
    try:
        server = await listen(address, handler, LimitSpec())
    except OSError as error:
        raise taken(spec.admin_listen, "admin_listen", error) from error
    try:
        yield server.port
    finally:
        await server.close()
        await handler.close()


async def no_reload(_: bool) -> Reloaded:  # noqa: FBT001 - the shape that the admin listener calls
    """Say no. Raises `ConfigError`."""
    raise ConfigError(
        "A controller reads its settings when it starts. In a cluster its models are ModelPools, which it reads as they change.",
        fix="Change a ModelPool, or restart the controller.",
    )
