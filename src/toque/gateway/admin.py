"""The admin listener: metrics, what the fleet looks like, and why. For people and scrapers on this machine.

Law: it only reads, but for one thing: it has the settings read anew, from where they were read at the start. A request whose Host is not this machine, or whose Origin is another site, is refused before it is
routed, whatever its method: a web page must not reach it through somebody's browser (S09).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toque import __version__
from toque.gateway.scrape import Exposition, MetricsPage
from toque.model.announcement import Reloaded
from toque.model.errors import CallerError, ConfigError, InternalError, ToqueError
from toque.model.service_spec import ADMIN_MARK
from toque.model.view import FleetView, PoolView, ReplicaView
from toque.ports import ReplicaStatus
from toque.wire.errors import encode_error_body

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Hosts a request may name. The port does not matter: it is the name that a rebound DNS entry cannot have."""

RELOAD = "/admin/v1/reload"
TRUE = frozenset({"1", "true"})

_Headers: TypeAlias = Mapping[bytes, bytes]
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class AdminSources:
    """Where the answers come from; all are called on the event loop and return at once.

    `why` explains a request id, a ticket's number or a pool's name, and returns None when nothing is remembered of it.
    `metrics` renders a family a step. `reload` has the settings read anew (True: and changes nothing);
    it raises `ToqueError` for settings that cannot be used.
    """

    view: Callable[[], FleetView]
    status: Callable[[int], ReplicaStatus]
    why: Callable[[str], Mapping[str, object] | None]
    metrics: Callable[[], Exposition]
    reload: Callable[[bool], Awaitable[Reloaded]]


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """A replica as people see it: the fleet's view of it and the driver's. `age_s` counts from its order."""

    pool: str
    age_s: float
    replica: ReplicaView
    status: ReplicaStatus


@dataclass(frozen=True, slots=True)
class AdminAnswers:
    """One method an address."""

    sources: AdminSources

    async def live(self, _request: Request) -> Response:
        """The event loop turns."""
        return Response("ok\n", media_type="text/plain", headers=_common())

    async def metrics(self, _request: Request) -> Response:
        """All metrics, for Prometheus."""
        return MetricsPage(self.sources.metrics(), _common())

    async def pools(self, _request: Request) -> Response:
        """The fleet at this instant: budget and pools."""
        return _answer(self.sources.view())

    async def replicas(self, _request: Request) -> Response:
        """All replicas at this instant, with process id and memory."""
        view = self.sources.view()
        return _answer({"replicas": [self._row(view, pool, one) for pool in view.pools for one in pool.replicas]})

    async def why(self, request: Request) -> Response:
        """Tell a request's life or a pool's last decisions."""
        explanation = self.sources.why(request.path_params["subject"])
        if explanation is None:
            raise CallerError(
                "Nothing is remembered of this request or pool. Give the x-request-id of a recent answer, or a pool "
                "that `toque ps` shows.",
                status=404,
                code="not_found",
            )
        return _answer(explanation)

    async def reload(self, request: Request) -> Response:
        """Read the settings anew; nothing in the request says which, and `dry_run` is all it may say (S08)."""
        try:
            return _answer(await self.sources.reload(request.query_params.get("dry_run") in TRUE))
        except ConfigError as error:
            raise CallerError(error.told(), status=422, code=error.code) from error

    async def version(self, _request: Request) -> Response:
        """Who answers."""
        return _answer({"toque": __version__})

    def _row(self, view: FleetView, pool: PoolView, replica: ReplicaView) -> ReplicaRow:
        return ReplicaRow(pool.name, view.now - replica.started_at, replica, self.sources.status(replica.id))


@dataclass(frozen=True, slots=True)
class SameMachine:
    """Lets a request through to `inner` only if it names this machine and comes from no other site."""

    inner: ASGIApp
    hosts: frozenset[str] = field(default=LOOPBACK_NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or hand the request on."""
        headers: _Headers = dict(scope["headers"])
        refusal = self._refusal(headers)
        answer = self.inner if refusal is None else _error(refusal)
        await answer(scope, receive, send)

    def _refusal(self, headers: _Headers) -> ToqueError | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if (name if port.isdecimal() else host) not in self.hosts:
            return _forbidden("This Host is not served here. Call the address that `toque up` printed.")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"http://{host}":
            return _forbidden("Pages of other sites may not call this address.")
        return None


def admin_app(sources: AdminSources, hosts: frozenset[str] = LOOPBACK_NAMES) -> ASGIApp:
    """Make the ASGI application of the admin listener. `hosts` are the names a request may call it by."""
    answers = AdminAnswers(sources)
    routes: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/livez": answers.live,
        "/metrics": answers.metrics,
        "/admin/v1/pools": answers.pools,
        "/admin/v1/replicas": answers.replicas,
        "/admin/v1/why/{subject:path}": answers.why,
        "/admin/v1/version": answers.version,
    }
    app = Starlette(
        routes=[
            *(Route(path, answer, methods=["GET"]) for path, answer in routes.items()),
            Route(RELOAD, answers.reload, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _unrouted, ToqueError: _refused, Exception: _broken},
    )
    app.router.redirect_slashes = False  # a redirect would be built from what the request says of itself
    return SameMachine(app, hosts)


def _answer(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type=_JSON, headers=_common())


def _error(error: ToqueError, allow: str = "") -> Response:
    headers = _common() | ({"allow": allow} if allow else {})
    return Response(encode_error_body(error), error.status, media_type=_JSON, headers=headers)


def _common() -> dict[str, str]:
    return {
        "x-request-id": f"{ADMIN_MARK}{token_hex(8)}",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }


def _forbidden(message: str) -> ToqueError:
    return CallerError(message, status=403, error_type="permission_error", code="origin_not_allowed")


async def _unrouted(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        allowed = "POST" if request.scope["path"] == RELOAD else "GET, HEAD"
        return _error(CallerError(f"This address answers {allowed}.", status=405, code="method_not_allowed"), allowed)
    message = "There is no such address. See /metrics and /admin/v1/pools."
    return _error(CallerError(message, status=404, code="not_found"))


async def _refused(_request: Request, error: Exception) -> Response:
    return _error(error if isinstance(error, ToqueError) else InternalError("The server failed while it answered."))


async def _broken(_request: Request, _error_of_ours: Exception) -> Response:
    return _error(InternalError("The server failed while it answered."))
