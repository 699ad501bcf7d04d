"""KEDA's external scaler over gRPC: whether a pool is to be awake, and how many replicas it wants.

Law: a ScaledObject names its pool in its trigger's metadata; one that names none, or one that is not there, is told so by a status
of gRPC, which KEDA shows as an event of the ScaledObject.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc

from toque.advice.bell import Bell
from toque.advice.external_scaler import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)
from toque.advice.kinds import DESIRED, is_idle
from toque.advice.selector import LABEL
from toque.model.view import FleetView, PoolView

PER_REPLICA = 1
"""The metric is a number of replicas already, so the target of each replica is one of it."""
CALLS_MAX = 64
"""Answers under way at once besides streams: each takes microseconds."""
MESSAGE_BYTES_MAX = 64 * 2**10
"""A trigger's metadata is some hundred bytes."""


class KedaScaler:
    """The server. `view` is called on the event loop and returns at once."""

    def __init__(self, view: Callable[[], FleetView], streams_max: int) -> None:
        self._view = view
        self._streams_max = streams_max
        self._streams = 0
        self._bell = Bell()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=streams_max + CALLS_MAX)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._methods()),))

    async def open(self, address: str, tls: tuple[bytes, bytes] | None = None) -> int:
        """Listen on `host:port` (0: any free one) and return the port; `tls` is certificate and key, as PEM.

        Raises `OSError` when the address cannot be had.
        """
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, grpc.ssl_server_credentials([(tls[1], tls[0])]))
        except RuntimeError as error:
            raise OSError(f"nobody can listen there: {error}") from error
        await self._server.start()
        return int(port)

    async def close(self) -> None:
        """End every stream and stop listening."""
        await self._server.stop(None)

    def decided(self) -> None:
        """A decision may have changed what is active: tell who follows it."""
        self._bell.ring()

    # ---- the four methods --------------------------------------------------------------------------------------------

    async def is_active(self, ref: Any, context: Any) -> Any:
        """Say whether a pool is to have replicas: one is wanted, or somebody has a request."""
        return IsActiveResponse(result=_is_active(await self._pool(ref, context)))

    async def stream_is_active(self, ref: Any, context: Any) -> AsyncIterator[Any]:
        """Say it now and whenever it changes."""
        if self._streams >= self._streams_max:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._streams} activations are followed: see advice.streams_max"
            )
        self._streams += 1
        try:
            told: bool | None = None
            while True:
                now = _is_active(await self._pool(ref, context))
                if now != told:
                    told = now
                    yield IsActiveResponse(result=now)
                    continue  # it may have changed while that was sent
                await self._bell.wait()
        finally:
            self._streams -= 1

    async def metric_spec(self, ref: Any, context: Any) -> Any:
        """Name the metric and what of it one replica bears."""
        await self._pool(ref, context)
        spec = MetricSpec(metricName=DESIRED, targetSize=PER_REPLICA, targetSizeFloat=PER_REPLICA)
        return GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(self, request: Any, context: Any) -> Any:
        """Say how many replicas are wanted."""
        pool = await self._pool(request.scaledObjectRef, context)
        if request.metricName != DESIRED:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"There is no metric {request.metricName!r}; there is {DESIRED}."
            )
        value = MetricValue(metricName=DESIRED, metricValue=pool.advised, metricValueFloat=pool.advised)
        return GetMetricsResponse(metricValues=[value])

    async def _pool(self, ref: Any, context: Any) -> PoolView:
        """Find the pool of a ScaledObject, or abort the call and say what to write, or who leads."""
        metadata: Mapping[str, str] = ref.scalerMetadata
        name = metadata.get(LABEL, "")
        view = self._view()
        if is_idle(view):
            await context.abort(grpc.StatusCode.UNAVAILABLE, view.leader)
        pools = {pool.name: pool for pool in view.pools}
        known = ", ".join(pools)
        if not name:
            told = f"Write {LABEL}: NAME into the trigger's metadata; there is {known}."
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)
        if name not in pools:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no pool {name!r}; there is {known}.")
        return pools[name]

    def _methods(self) -> Mapping[str, Any]:
        one, asked = grpc.unary_unary_rpc_method_handler, ScaledObjectRef.FromString
        return {
            "IsActive": one(self.is_active, asked, IsActiveResponse.SerializeToString),
            "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                self.stream_is_active, asked, IsActiveResponse.SerializeToString
            ),
            "GetMetricSpec": one(self.metric_spec, asked, GetMetricSpecResponse.SerializeToString),
            "GetMetrics": one(self.metrics, GetMetricsRequest.FromString, GetMetricsResponse.SerializeToString),
        }


def _is_active(pool: PoolView) -> bool:
    return pool.advised > 0 or pool.is_asked
