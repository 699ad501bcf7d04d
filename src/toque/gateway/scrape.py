"""What may be asked from other machines without a key: metrics, whether we live, whether we are ready. For Prometheus and probes.

Law: three fixed answers and nothing else; no model's, key's or address's content stands in them.
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

_PLAIN = "text/plain"


def scrape_app(metrics: Callable[[], tuple[bytes, str]], is_ready: Callable[[], bool]) -> ASGIApp:
    """Make the ASGI application. Both are called on the event loop and return at once; `metrics` with its content type."""

    async def scrape(_request: Request) -> Response:
        exposition, content_type = metrics()
        return Response(exposition, headers={"content-type": content_type})

    async def live(_request: Request) -> Response:
        return Response("ok\n", media_type=_PLAIN)

    async def ready(_request: Request) -> Response:
        return Response("ok\n", media_type=_PLAIN) if is_ready() else Response("not ready\n", 503, media_type=_PLAIN)

    routes = {"/metrics": scrape, "/livez": live, "/readyz": ready}
    app = Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in routes.items()])
    app.router.redirect_slashes = False  # a redirect would be built from what the request says of itself
    return app
