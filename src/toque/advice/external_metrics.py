"""The external metrics API of Kubernetes, so that an HPA scales by our decision.

Law: three addresses, all of them read; a value is what the fleet's view says now, never one kept from before.
"""

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toque.advice.kinds import DESIRED, GROUP, GROUP_VERSION, answered, group, is_idle, refused, resources, values
from toque.advice.selector import chosen, label_of
from toque.model.view import FleetView, PoolView

METRICS: Mapping[str, Callable[[PoolView], int]] = {
    DESIRED: lambda pool: pool.advised,
    "toque_requests_in_flight": lambda pool: pool.in_flight,
    "toque_requests_waiting": lambda pool: pool.waiting_interactive + pool.waiting_batch,
}
"""What may be asked, under the names that Prometheus sees."""


def external_metrics_app(view: Callable[[], FleetView], wall_clock: Callable[[], float]) -> Starlette:
    """Make the ASGI application; both are called on the event loop and return at once."""

    async def about_group(_request: Request) -> Response:
        return answered(group())

    async def about_version(_request: Request) -> Response:
        return answered(resources(METRICS))

    async def ask(request: Request) -> Response:
        return _answer(
            request.path_params["metric"], request.query_params.get("labelSelector", ""), view(), wall_clock()
        )

    app = Starlette(
        routes=[
            Route(f"/apis/{GROUP}", about_group, methods=["GET"]),
            Route(f"/apis/{GROUP_VERSION}", about_version, methods=["GET"]),
            Route(f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}", ask, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _unrouted},
    )
    app.router.redirect_slashes = False  # a redirect would be built from what the request says of itself
    return app


def _answer(metric: str, selector: str, view: FleetView, now: float) -> Response:
    """1. no such metric; 2. a selector that cannot be understood; 3. somebody else leads; 4. it names a pool that is not there; 5. values."""
    value_of = METRICS.get(metric)
    if value_of is None:  # 1
        return refused(404, "NotFound", f"There is no metric {metric!r}; there is {', '.join(METRICS)}.")
    try:
        wanted = chosen(selector)
    except ValueError as error:  # 2
        return refused(400, "BadRequest", str(error))
    if is_idle(view):  # 3
        return refused(503, "ServiceUnavailable", view.leader)
    found = {pool.name: value_of(pool) for pool in view.pools if wanted is None or wanted & _names(pool)}
    if wanted and len(found) < len(wanted):  # 4
        known = ", ".join(pool.name for pool in view.pools)
        return refused(404, "NotFound", f"There is no pool {' or '.join(sorted(wanted))}; there is {known}.")
    return answered(values(metric, found, now))  # 5


def _names(pool: PoolView) -> set[str]:
    return {pool.name, label_of(pool.name)}


async def _unrouted(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return refused(405, "MethodNotAllowed", "Metrics can only be read.")
    return refused(404, "NotFound", f"There is no such address. See /apis/{GROUP_VERSION}.")
