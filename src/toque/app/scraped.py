"""The metrics listener: the one door besides the API that other machines may reach.

Law: opened only where the settings name an address; closed by whoever opened it.
"""

import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from toque.app.addresses import taken
from toque.gateway.scrape import Exposition, scrape_app
from toque.model.errors import ConfigError
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.server import Server
from toque.wire.server import serve as listen


@asynccontextmanager
async def open_scraped(
    address: socket.socket | None, collector: Collector, is_ready: Callable[[], bool]
) -> AsyncGenerator[Server | None]:
    """Listen on a bound socket; without one, do nothing. Raises `ConfigError` when nobody can listen there."""
    if address is None:
        yield None
        return
    handler = AsgiHandler(scrape_app(lambda: expose(collector), is_ready))
    try:
        server = await listen(address, handler, LimitSpec())
    except OSError as error:
        raise _taken(address, error) from error
    try:
        yield server
    finally:
        await server.close()
        await handler.close()


def expose(collector: Collector) -> Exposition:
    """Write the metrics of a collector in Prometheus' text form."""
    return (generate_latest(_Family(family)) for family in collector.collect()), CONTENT_TYPE_LATEST


class _Family(Collector):
    """One family as a collector of its own."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def _taken(address: socket.socket, error: OSError) -> ConfigError:
    host, port = address.getsockname()[:2]
    return taken(f"{host}:{port}", "metrics_listen", error)
