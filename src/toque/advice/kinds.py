"""What the Kubernetes API's own words look like in JSON: the lists and the refusals that its clients expect.

Law: every answer says its kind and version; a refusal is a `Status`, so that an HPA shows its message.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec
from starlette.responses import Response

from toque.model.view import FleetView

Object: TypeAlias = Mapping[str, object]

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
GROUP_VERSION = f"{GROUP}/{VERSION}"
DESIRED = "toque_desired_replicas"
"""The metric of the decision, under the name that Prometheus sees."""
_LIST = "ExternalMetricValueList"


def is_idle(view: FleetView) -> bool:
    """Whether this controller decides nothing, for another one leads, or there is nothing to decide: it cannot say what is wanted."""
    return bool(view.leader) and not view.pools


def answered(content: Object) -> Response:
    """Answer with an object."""
    return _json(content, 200)


def refused(code: int, reason: str, message: str) -> Response:
    """Answer with a `Status`; `reason` is Kubernetes' one word for the code."""
    return _json(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": code,
        },
        code,
    )


def group() -> Object:
    """Describe the group and its one version."""
    version = {"groupVersion": GROUP_VERSION, "version": VERSION}
    return {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version}


def resources(names: Iterable[str]) -> Object:
    """Describe what may be asked: each metric is a resource of its own."""
    listed = [{"name": name, "singularName": "", "namespaced": True, "kind": _LIST, "verbs": ["get"]} for name in names]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": listed}


def values(metric: str, by_pool: Mapping[str, int], at: float) -> Object:
    """List a metric's value for each pool; `at` is the wall clock."""
    told_at = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {"metricName": metric, "metricLabels": {"pool": pool}, "timestamp": told_at, "value": str(value)}
        for pool, value in by_pool.items()
    ]
    return {"kind": _LIST, "apiVersion": GROUP_VERSION, "metadata": {}, "items": items}


def _json(content: Object, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
