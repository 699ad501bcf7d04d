"""The API server over plain HTTP and JSON, for those who check what there is: no client that could have mistakes in common with ours."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import httpx2

Object: TypeAlias = dict[str, Any]
GROUPS = {
    "apps/v1": "deployments replicasets statefulsets daemonsets",
    "batch/v1": "jobs",
    "coordination.k8s.io/v1": "leases",
    "rbac.authorization.k8s.io/v1": "roles rolebindings clusterroles clusterrolebindings",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "apiregistration.k8s.io/v1": "apiservices",
    "autoscaling/v1": "horizontalpodautoscalers",
    "policy/v1beta1": "poddisruptionbudgets",
    "scheduling.k8s.io/v1": "priorityclasses",
    "networking.k8s.io/v1": "networkpolicies",
    "toque.dev/v1alpha1": "modelpools",
}
"""Where resources are that are not in the core group."""
CLUSTER_WIDE = frozenset(
    [
        "nodes",
        "namespaces",
        "persistentvolumes",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
        "apiservices",
        "priorityclasses",
    ]
)
_HOME = {kind: f"/apis/{group}" for group, kinds in GROUPS.items() for kind in kinds.split()}
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
YAML = "application/yaml"
PATIENCE_S = 30.0
_T = TypeVar("_T")


class RefusedError(Exception):
    """The API server said no."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(f"{status}: {told}")
        self.status = status


def path_of(kind: str, namespace: str = "", name: str = "", part: str = "") -> str:
    """Return the path of a resource, such as `pods`, of a namespace or the cluster, or of one of them, or of a part (`status`) of one."""
    place = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_WIDE else ""
    return f"{_HOME.get(kind, '/api/v1')}{place}/{kind}" + "".join(f"/{step}" for step in (name, part) if step)


def trusting(authority: Path) -> ssl.SSLContext:
    """Return a context that trusts this certificate only."""
    return ssl.create_default_context(cafile=str(authority))


class Api:
    """As whoever has the token. `namespace` is what calls are about that name none."""

    def __init__(self, url: str, authority: Path, token: str, namespace: str = "default") -> None:
        self.namespace = namespace
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx2.Client(base_url=url, verify=trusting(authority), headers=headers, timeout=PATIENCE_S)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json", **query: str) -> Any:
        """Make one call; a body that is text goes as it is. Raises `RefusedError` for an answer that is an error."""
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        answer = self._client.request(method, path, content=content, params=query, headers={"Content-Type": kind})
        if answer.status_code >= 400:
            raise RefusedError(answer.status_code, answer.text)
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.text

    def get(self, kind: str, name: str, part: str = "") -> Object:
        """Return one object, or a part of it."""
        return dict(self.call("GET", path_of(kind, self.namespace, name, part)))

    def find(self, kind: str, name: str) -> Object | None:
        """Return one object if it is there."""
        try:
            return self.get(kind, name)
        except RefusedError as refused:
            if refused.status != 404:
                raise
            return None

    def list(self, kind: str, labels: str = "") -> list[Object]:
        """Return all objects of a kind with these labels (`a=b,c=d`)."""
        query = {"labelSelector": labels} if labels else {}
        return list(self.call("GET", path_of(kind, self.namespace), **query)["items"])

    def create(self, kind: str, body: Object) -> Object:
        """Make an object."""
        return dict(self.call("POST", path_of(kind, self.namespace), body))

    def patch(self, kind: str, name: str, body: object, part: str = "", how: str = MERGE) -> Object:
        """Change an object, or a part of it."""
        return dict(self.call("PATCH", path_of(kind, self.namespace, name, part), body, how))

    def delete(self, kind: str, name: str, **options: object) -> None:
        """Begin to end an object."""
        self.call("DELETE", path_of(kind, self.namespace, name), options or None)

    def until(self, condition: Callable[["Api"], _T], within_s: float = PATIENCE_S) -> _T:
        """Ask until a condition is true and return its value."""
        return until(lambda: condition(self), within_s)


def until(condition: Callable[[], _T], within_s: float = PATIENCE_S) -> _T:
    """Wait until a condition is true and return its value; fail when it does not become true in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        threading.Event().wait(0.03)
    return value
