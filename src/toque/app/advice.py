"""Where the scaling decision is told to an HPA and to KEDA: what the settings open, joined to a fleet.

Law: what it opens it closes; who leaves KEDA off needs no gRPC.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from toque.advice.external_metrics import external_metrics_app
from toque.advice.front_proxy import STRANGER, FrontProxyOnly, front_proxy_tls
from toque.app.addresses import OFF, take, taken
from toque.model.advice_spec import AdviceSpec
from toque.model.errors import ConfigError
from toque.model.service_spec import LimitSpec
from toque.model.view import FleetView
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve


class Decider(Protocol):
    """Whose decisions are told: a fleet's controller, or whoever leads one while it does."""

    def view(self) -> FleetView:
        """Copy the fleet."""
        ...

    def announce(self, decided: Callable[[], None]) -> None:
        """Learn whom to tell that there is a new decision; the view has it already."""
        ...


@asynccontextmanager
async def open_advice(spec: AdviceSpec, decider: Decider) -> AsyncGenerator[None]:
    """Listen where the settings say. Raises `ConfigError` for an address or a certificate that cannot be used."""
    async with AsyncExitStack() as stack:
        if spec.metrics_api != OFF:
            await stack.enter_async_context(_external_metrics(spec, decider.view))
        if spec.keda != OFF:
            await stack.enter_async_context(_keda(spec, decider))
        yield


@asynccontextmanager
async def _external_metrics(spec: AdviceSpec, view: Callable[[], FleetView]) -> AsyncGenerator[None]:
    tls = front_proxy_tls(spec)
    app = external_metrics_app(view, time.time)  # noqa: TID251 - a metric carries the wall clock
    handler = FrontProxyOnly(AsgiHandler(app), AsgiHandler(STRANGER), spec.client_names)
    with take(spec.metrics_api, "advice.metrics_api") as address:
        try:
            server = await serve(address, handler, LimitSpec(), tls=tls)
        except OSError as error:
            raise taken(spec.metrics_api, "advice.metrics_api", error) from error
        try:
            yield
        finally:
            await server.close()
            await handler.close()


@asynccontextmanager
async def _keda(spec: AdviceSpec, decider: Decider) -> AsyncGenerator[None]:
    try:
        from toque.advice.keda import KedaScaler  # noqa: PLC0415 - who has no KEDA need not have gRPC
    except ImportError as error:
        told = "the external scaler for KEDA needs packages that are not installed"
        raise ConfigError(told, where="advice.keda", fix="pip install 'toque[kubernetes]'") from error
    tls = (_pem(spec, "certificate"), _pem(spec, "certificate_key")) if spec.certificate else None
    scaler = KedaScaler(decider.view, spec.streams_max)
    try:
        await scaler.open(spec.keda, tls)
    except OSError as error:
        await scaler.close()
        raise taken(spec.keda, "advice.keda", error) from error
    decider.announce(scaler.decided)
    try:
        yield
    finally:
        await scaler.close()


def _pem(spec: AdviceSpec, setting: str) -> bytes:
    path = str(getattr(spec, setting))
    try:
        return Path(path).read_bytes()
    except OSError as error:
        fix = f"set advice.{setting} to a PEM file that this process may read"
        raise ConfigError(f"cannot use {path}: {error.strerror}", fix=fix) from error
