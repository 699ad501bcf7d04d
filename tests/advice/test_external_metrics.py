"""The external metrics API: what an HPA reads, and what it is told where it asks for something else."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.advice.fleet import Kitchen, wants
from toque.advice.external_metrics import external_metrics_app
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

GROUP = "/apis/external.metrics.k8s.io"
Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen(wants("chat", 3, in_flight=4, waiting=2), wants("org/code", 9), wants("kept", 0, minimum=1))


@pytest.fixture
async def ask(kitchen: Kitchen) -> AsyncIterator[Ask]:
    handler = AsgiHandler(external_metrics_app(kitchen.view, lambda: 1_800_000_000.0))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())

    def asked(path: str, method: str = "GET") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    yield lambda *words: asyncio.to_thread(asked, *words)
    await server.close()
    await handler.close()


def _metric(name: str, selector: str = "") -> str:
    return f"{GROUP}/v1beta1/namespaces/default/{name}?labelSelector={quote(selector)}"


async def test_discovery_names_the_group_its_version_and_the_metrics(ask: Ask) -> None:
    assert (await ask(GROUP))[1]["preferredVersion"]["version"] == "v1beta1"
    status, listed = await ask(f"{GROUP}/v1beta1")
    assert (status, listed["kind"]) == (200, "APIResourceList")
    assert [resource["name"] for resource in listed["resources"]] == [
        "toque_desired_replicas",
        "toque_requests_in_flight",
        "toque_requests_waiting",
    ]
    assert all(resource["namespaced"] and resource["verbs"] == ["get"] for resource in listed["resources"])


async def test_a_pool_is_asked_for_by_its_label(ask: Ask) -> None:
    status, listed = await ask(_metric("toque_desired_replicas", "pool=chat"))
    assert (status, listed["kind"], listed["apiVersion"]) == (
        200,
        "ExternalMetricValueList",
        "external.metrics.k8s.io/v1beta1",
    )
    assert listed["items"] == [
        {
            "metricName": "toque_desired_replicas",
            "metricLabels": {"pool": "chat"},
            "timestamp": "2027-01-15T08:00:00Z",
            "value": "3",
        }
    ]
    assert (await ask(_metric("toque_requests_waiting", "pool=chat")))[1]["items"][0]["value"] == "2"


async def test_the_decision_stays_within_the_bounds_and_a_name_with_a_slash_is_found_by_its_label(ask: Ask) -> None:
    _, listed = await ask(_metric("toque_desired_replicas", "pool in (org-code, kept)"))
    assert {item["metricLabels"]["pool"]: item["value"] for item in listed["items"]} == {"org/code": "8", "kept": "1"}
    assert len((await ask(_metric("toque_desired_replicas")))[1]["items"]) == 3


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        (_metric("cpu", "pool=chat"), 404, "There is no metric 'cpu'; there is toque_desired_replicas"),
        (_metric("toque_desired_replicas", "pool=shat"), 404, "There is no pool shat; there is chat, org/code, kept."),
        (_metric("toque_desired_replicas", "app=chat"), 400, "Write pool=NAME or pool in (NAME, NAME)."),
        ("/apis", 404, "There is no such address. See /apis/external.metrics.k8s.io/v1beta1."),
    ],
)
async def test_whatever_else_is_asked_is_refused_in_the_words_of_kubernetes(
    ask: Ask, path: str, status: int, told: str
) -> None:
    code, answer = await ask(path)
    assert (code, answer["kind"], answer["status"], answer["code"]) == (status, "Status", "Failure", status)
    assert told in answer["message"]


async def test_a_controller_that_does_not_lead_says_who_does(kitchen: Kitchen, ask: Ask) -> None:
    kitchen.pools, kitchen.leader = (), "b leads; a answers here, and stands ready"
    status, answer = await ask(_metric("toque_desired_replicas", "pool=chat"))
    assert (status, answer["reason"], answer["message"]) == (503, "ServiceUnavailable", kitchen.leader)
    assert (await ask(f"{GROUP}/v1beta1"))[0] == 200, "whether the API is there is no question of who leads"


async def test_nothing_can_be_written(ask: Ask) -> None:
    assert (await ask(_metric("toque_desired_replicas"), "DELETE"))[0] == 405
