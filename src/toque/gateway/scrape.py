"""What may be asked from other machines without a key: metrics, whether we live, whether we are ready. For Prometheus and probes.

Law: three fixed answers and nothing else; no model's, key's or address's content stands in them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

_PLAIN = "text/plain"
TURN_BYTES = 32 * 2**10
"""A page of a few models is one piece."""

Exposition: TypeAlias = tuple[Iterator[bytes], str]
"""Metrics, a family a piece, each rendered when it is asked for; and their content type."""


class MetricsPage(StreamingResponse):
    """A page of metrics. Requests have their turn between two families: all of a thousand pools at once take a quarter of a second."""

    def __init__(self, exposition: Exposition, headers: Mapping[str, str] | None = None) -> None:
        families, content_type = exposition
        super().__init__(_in_turns(families), headers={**(headers or {}), "content-type": content_type})


async def _in_turns(families: Iterator[bytes]) -> AsyncIterator[bytes]:
    page = b""
    for family in families:
        page += family
        if len(page) >= TURN_BYTES:
            yield page
            page = b""
            await asyncio.sleep(0)  # noqa: TID251 - gives its turn away, and waits for nothing
    yield page


def scrape_app(metrics: Callable[[], Exposition], is_ready: Callable[[], bool]) -> ASGIApp:
    """Make the ASGI application. Both are called on the event loop and return at once; `metrics` renders a family a step."""

    async def scrape(_request: Request) -> Response:
        return MetricsPage(metrics())

    async def live(_request: Request) -> Response:
        return Response("ok\n", media_type=_PLAIN)

    async def ready(_request: Request) -> Response:
        return Response("ok\n", media_type=_PLAIN) if is_ready() else Response("not ready\n", 503, media_type=_PLAIN)

    routes = {"/metrics": scrape, "/livez": live, "/readyz": ready}
    app = Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in routes.items()])
    app.router.redirect_slashes = False  # a redirect would be built from what the request says of itself
    return app
