"""KEDA's external scaler, asked by a real gRPC client as KEDA asks it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest

from tests.advice.fleet import Kitchen, wants
from toque.advice.external_scaler import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    ScaledObjectRef,
)
from toque.advice.keda import KedaScaler


class Keda:
    """What KEDA does with a ScaledObject whose trigger names this pool."""

    def __init__(self, channel: Any) -> None:
        def one(method: str, answer: Any) -> Any:
            return channel.unary_unary(
                f"/{SERVICE}/{method}", lambda asked: asked.SerializeToString(), answer.FromString
            )

        self.is_active = one("IsActive", IsActiveResponse)
        self.metric_spec = one("GetMetricSpec", GetMetricSpecResponse)
        self.metrics = one("GetMetrics", GetMetricsResponse)
        self.stream = channel.unary_stream(
            f"/{SERVICE}/StreamIsActive", lambda asked: asked.SerializeToString(), IsActiveResponse.FromString
        )


def _object(**metadata: str) -> Any:
    return ScaledObjectRef(name="chat", namespace="default", scalerMetadata=metadata)


KITCHEN = Kitchen()


@pytest.fixture
async def scaler() -> AsyncIterator[KedaScaler]:
    KITCHEN.pools, KITCHEN.leader = (wants("chat", 0),), ""
    made = KedaScaler(KITCHEN.view, streams_max=1)
    yield made
    await made.close()


@pytest.fixture
async def keda(scaler: KedaScaler) -> AsyncIterator[Keda]:
    port = await scaler.open("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Keda(channel)


async def test_a_pool_sleeps_is_activated_by_a_request_and_wants_as_many_as_the_policy_says(keda: Keda) -> None:
    assert not (await keda.is_active(_object(pool="chat"))).result
    KITCHEN.pools = (wants("chat", 0, waiting=1),)
    assert (await keda.is_active(_object(pool="chat"))).result, "before any decision: somebody waits"
    KITCHEN.pools = (wants("chat", 5),)
    (spec,) = (await keda.metric_spec(_object(pool="chat"))).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("toque_desired_replicas", 1, 1.0)
    asked = GetMetricsRequest(scaledObjectRef=_object(pool="chat"), metricName=spec.metricName)
    (value,) = (await keda.metrics(asked)).metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == ("toque_desired_replicas", 5, 5.0)


async def test_a_stream_tells_activation_at_once_and_then_only_changes(scaler: KedaScaler, keda: Keda) -> None:
    stream = keda.stream(_object(pool="chat"))
    assert not (await stream.read()).result
    for wanted in (3, 4, 0):
        KITCHEN.pools = (wants("chat", wanted),)
        scaler.decided()
        if wanted != 4:  # still active: nothing to tell
            assert (await stream.read()).result is (wanted > 0)
    second = keda.stream(_object(pool="chat"))
    with pytest.raises(grpc.aio.AioRpcError, match=r"advice\.streams_max") as refused:
        await second.read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    KITCHEN.pools = ()
    scaler.decided()
    with pytest.raises(grpc.aio.AioRpcError, match="There is no pool 'chat'"):
        await stream.read()


@pytest.mark.parametrize(
    ("metadata", "code", "told"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "Write pool: NAME into the trigger's metadata; there is chat."),
        ({"pool": "shat"}, grpc.StatusCode.NOT_FOUND, "There is no pool 'shat'; there is chat."),
    ],
)
async def test_metadata_that_names_no_pool_of_ours_is_told_what_to_write(
    keda: Keda, metadata: Mapping[str, str], code: grpc.StatusCode, told: str
) -> None:
    for method in (keda.is_active, keda.metric_spec):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(_object(**metadata))
        assert (refused.value.code(), refused.value.details()) == (code, told)


async def test_a_controller_that_does_not_lead_says_who_does(keda: Keda) -> None:
    KITCHEN.pools, KITCHEN.leader = (), "b leads; a answers here"
    with pytest.raises(grpc.aio.AioRpcError, match="b leads") as refused:
        await keda.is_active(_object(pool="chat"))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_metric_that_is_not_ours_is_not_found(keda: Keda) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="There is no metric 'cpu'; there is toque_desired_replicas"):
        await keda.metrics(GetMetricsRequest(scaledObjectRef=_object(pool="chat"), metricName="cpu"))


async def test_an_address_that_is_taken_is_an_error_and_not_shared(scaler: KedaScaler) -> None:
    port = await scaler.open("127.0.0.1:0")
    second = KedaScaler(KITCHEN.view, streams_max=1)
    with pytest.raises(OSError, match="nobody can listen there"):
        await second.open(f"127.0.0.1:{port}")
    await second.close()


CHAT = b"\n\x04chat\x12\x07default\x1a\x0c\n\x04pool\x12\x04chat"
"""A ScaledObjectRef on the wire, by the field numbers of the interface that KEDA publishes: name 1, namespace 2, scalerMetadata 3."""
NAME = b"toque_desired_replicas"


@pytest.mark.parametrize(
    ("method", "asked", "answered"),
    [
        ("IsActive", CHAT, b"\x08\x01"),
        ("GetMetricSpec", CHAT, b"\n#\n\x16" + NAME + b"\x10\x01\x19\x00\x00\x00\x00\x00\x00\xf0?"),
        (
            "GetMetrics",
            b"\n\x1d" + CHAT + b"\x12\x16" + NAME,
            b"\n#\n\x16" + NAME + b"\x10\x05\x19\x00\x00\x00\x00\x00\x00\x14@",
        ),
    ],
)
async def test_the_bytes_are_those_of_the_published_interface(
    scaler: KedaScaler, method: str, asked: bytes, answered: bytes
) -> None:
    KITCHEN.pools = (wants("chat", 5),)
    port = await scaler.open("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await channel.unary_unary(f"/externalscaler.ExternalScaler/{method}")(asked) == answered


async def test_what_newer_versions_may_ask_besides_is_unimplemented_and_so_they_do_without(scaler: KedaScaler) -> None:
    port = await scaler.open("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.unary_stream("/externalscaler.ExternalScaler/StreamMetricSpec")(CHAT)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stream.read()
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
