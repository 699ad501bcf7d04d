"""Living with others: a real HPA reads toque's decision through the API server's aggregation layer, and carries it out."""

import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.advised import METRICS, Door, asked, autoscale, autoscaler, door
from tests.cluster.controlled import controlled, pool
from tests.cluster.place import Place
from tests.cluster.rig import RefusedError
from tests.service import Service, Stream, serving, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ADVISES = """
[models.chat]
agent = "fake"
slots = 2
options = {{ tokens = 100000, token_gap_s = 0.05 }}
replicas = {{ minimum_warm = 1, maximum = 5, target = {target} }}
scaling = {{ interval_s = 0.5, stable_window_s = 1.0, burst_window_s = 1.0, target = 1.0 }}
"""
"""One replica for each request, were it toque that scaled; somebody else has set their number."""


@contextmanager
def advising(folder: Path, place: Place, target: int = 1) -> Iterator[tuple[Service, Door]]:
    """A toque that tells what it would do, and does not do it."""
    with door(place, folder) as opened, serving(folder, opened.settings + ADVISES.format(target=target)) as service:
        place.api.until(lambda api: _is_available(api.call("GET", _API_SERVICE)))
        yield service, opened


@contextmanager
def streaming(service: Service, requests: int) -> Iterator[None]:
    """So many requests that do not end."""
    streams: list[Stream] = [service.stream(max_tokens=100000) for _ in range(requests)]
    try:
        yield
    finally:
        for stream in streams:
            stream.close()


_API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"


def _is_available(api_service: dict[str, Any]) -> bool:
    conditions = api_service.get("status", {}).get("conditions", [])
    return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)


def twin() -> dict[str, Any]:
    """A Deployment that only an HPA scales; nobody looks whether its Pods have a machine."""
    labels = {"app": "twin"}
    container = {"name": "main", "image": "registry.test/toque:1", "args": ["version"]}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container], "nodeSelector": {"no": "machine"}}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": "twin"}, "spec": spec}


def test_the_api_server_asks_for_the_metric_on_behalf_of_whoever_may_ask_it(tmp_path: Path, place: Place) -> None:
    with advising(tmp_path, place) as (service, _):
        assert next(each["name"] for each in place.api.call("GET", METRICS)["resources"]) == "toque_desired_replicas"
        assert asked(place.api, "toque_desired_replicas") == 1
        with streaming(service, 3):
            until(lambda: asked(place.api, "toque_desired_replicas") == 3)
            assert asked(place.api, "toque_requests_in_flight") + asked(place.api, "toque_requests_waiting") == 3
        with pytest.raises(RefusedError, match="There is no pool shat; there is chat"):
            asked(place.api, "toque_desired_replicas", pool="shat")
        nobody = place.cluster.plane.api(place.namespace, place.cluster.plane.account_token(place.namespace))
        with pytest.raises(RefusedError, match="403"):
            asked(nobody, "toque_desired_replicas")


def test_nobody_asks_behind_the_api_servers_back(tmp_path: Path, place: Place) -> None:
    with advising(tmp_path, place) as (_, opened):
        context = ssl.create_default_context(cafile=str(opened.certificate))
        context.check_hostname = False
        with pytest.raises(OSError, match=r"(?i)certificate required|handshake|closed|reset|EOF"):
            urllib.request.urlopen(f"https://127.0.0.1:{opened.port}{METRICS}", context=context, timeout=5)


def test_an_hpa_carries_the_decision_out_and_toque_leaves_its_own_number_alone(tmp_path: Path, place: Place) -> None:
    place.api.create("deployments", twin())
    with advising(tmp_path, place) as (service, _):
        autoscale(place.api, {"apiVersion": "apps/v1", "kind": "Deployment", "name": "twin"}, maximum=4)
        with streaming(service, 3):
            until(lambda: place.api.get("deployments", "twin")["spec"]["replicas"] == 3)
            assert service.pool()["target"] == 1
            assert len(service.replicas()) == 1, "who set the number of toque's own replicas is obeyed"
        until(lambda: place.api.get("deployments", "twin")["spec"]["replicas"] == 1)
        status = autoscaler(place.api, "twin")
        assert status["desiredReplicas"] == 1
        assert any(each["type"] == "ScalingActive" and each["status"] == "True" for each in status["conditions"])


def test_an_hpa_scales_a_model_pool_by_toques_own_decision_and_nobody_fights(tmp_path: Path, place: Place) -> None:
    wants = {"policy": "fixed", "target": 3, "intervalS": 0.5}
    with (
        controlled(place, tmp_path) as here,
        door(place, tmp_path) as opened,
        here.controller(settings=opened.settings) as controller,
    ):
        place.api.until(lambda api: _is_available(api.call("GET", _API_SERVICE)))
        here.apply(pool(warm=1, maximum=5, scaling=wants))
        here.ready(3)
        assert asked(place.api, "toque_desired_replicas") == 3
        autoscale(place.api, {"apiVersion": "toque.dev/v1alpha1", "kind": "ModelPool", "name": "chat"}, maximum=4)
        until(lambda: _condition(place, "ScalingActive") == ("False", "ScalingDisabled"))
        assert _target(place) == 0, "as long as toque decides, an HPA rests"
        here.kubectl("scale", "mp", "chat", "--replicas=1")
        until(lambda: _target(place) == 3)
        here.kubectl("patch", "mp", "chat", "--type=merge", "-p", '{"spec":{"scaling":{"target":2}}}')
        until(lambda: _target(place) == 2)
        here.ready(2)
        until(lambda: _numbers(place) == (2, 2))
        assert controller.pool()["target"] == 2
        here.apply(pool(warm=1, maximum=5, scaling={**wants, "target": 5}))
        until(lambda: _target(place) == 4)
        here.ready(4)
        assert controller.pool()["decision"]["desired"]["replicas"] == 5, "toque would have five; the HPA may have four"
        here.kubectl("scale", "mp", "chat", "--replicas=0")
        here.ready(5)
        assert _target(place) == 0, "given back, and it stays so"


def _condition(place: Place, kind: str) -> tuple[str, str]:
    conditions = autoscaler(place.api, "chat").get("conditions") or []
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == kind), ("", ""))


def _numbers(place: Place) -> tuple[int, int]:
    """How many there are and shall be, as the HPA saw them when it last looked."""
    status = autoscaler(place.api, "chat")
    return status["currentReplicas"], status["desiredReplicas"]


def _target(place: Place) -> int:
    return int(place.api.get("modelpools", "chat")["spec"]["replicas"].get("target", 0))
