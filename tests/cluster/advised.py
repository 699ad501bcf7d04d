"""A toque that tells its decisions to a cluster: its external metrics API, with the certificates that an APIService asks for."""

import base64
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.place import Place
from tests.cluster.rig import Api
from tests.cluster.rig.keys import CALLER

SERVICE = "toque-metrics"
METRICS = "/apis/external.metrics.k8s.io/v1beta1"
AUTOSCALERS = "/apis/autoscaling/v2beta2/namespaces/{}/horizontalpodautoscalers"
SETTINGS = """
[advice]
metrics_api = "127.0.0.1:{port}"
certificate = "{certificate}"
certificate_key = "{key}"
client_ca = "{authority}"
client_names = ["{caller}"]
"""


@dataclass(frozen=True)
class Door:
    """Where the API server asks, and the settings that open it."""

    port: int
    settings: str
    certificate: Path


@contextmanager
def door(place: Place, folder: Path) -> Iterator[Door]:
    """Let the API server of a place find the metrics API on this machine, as the guide tells people to."""
    certificate, key = folder / "metrics.crt", folder / "metrics.key"
    name = f"{SERVICE}.{place.namespace}.svc"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    words = f"{made} -keyout {key} -out {certificate} -subj /CN={SERVICE} -addext subjectAltName=DNS:{name}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    plane = place.cluster.plane
    text = SETTINGS.format(
        port=port, certificate=certificate, key=key, authority=plane.folder / "proxy-ca.crt", caller=CALLER
    )
    outside = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    place.api.create("services", {"metadata": {"name": SERVICE}, "spec": outside})
    everywhere = plane.api("")
    everywhere.create("apiservices", _api_service(place.namespace, port, certificate.read_bytes()))
    try:
        yield Door(port, text, certificate)
    finally:
        everywhere.delete("apiservices", "v1beta1.external.metrics.k8s.io")


def _api_service(namespace: str, port: int, authority: bytes) -> dict[str, Any]:
    return {
        "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": SERVICE, "namespace": namespace, "port": port},
            "caBundle": base64.b64encode(authority).decode(),
        },
    }


def asked(api: Api, metric: str, pool: str = "chat") -> int:
    """Ask the API server for a metric, as an HPA does."""
    path = f"{METRICS}/namespaces/{api.namespace}/{metric}"
    (item,) = api.call("GET", path, labelSelector=f"pool={pool}")["items"]
    return int(item["value"])


def autoscale(api: Api, target: dict[str, str], maximum: int, pool: str = "chat") -> None:
    """Make an HPA that carries a pool's decision out on a target."""
    external = {
        "metric": {"name": "toque_desired_replicas", "selector": {"matchLabels": {"pool": pool}}},
        "target": {"type": "AverageValue", "averageValue": "1"},
    }
    spec = {
        "scaleTargetRef": target,
        "minReplicas": 1,
        "maxReplicas": maximum,
        "metrics": [{"type": "External", "external": external}],
    }
    body = {
        "apiVersion": "autoscaling/v2beta2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target["name"]},
    }
    api.call("POST", AUTOSCALERS.format(api.namespace), {**body, "spec": spec})


def autoscaler(api: Api, name: str) -> dict[str, Any]:
    """How an HPA is doing."""
    found: dict[str, Any] = api.call("GET", f"{AUTOSCALERS.format(api.namespace)}/{name}")["status"]
    return found
