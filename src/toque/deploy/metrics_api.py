"""The cluster's external metrics API, answered by controllers: its Service, its registration, and what controllers need for it.

Law: all of it is there only where a Secret with its certificate is named; a cluster has one such API.
"""

from collections.abc import Sequence

from toque.deploy.process import given, port, variable
from toque.deploy.tree import Both, Has, Is, Joined, Namespace, Tree, Value, When
from toque.deploy.words import (
    CONTROLLER,
    METRICS_API,
    METRICS_API_DIR,
    METRICS_API_PORT,
    Table,
    leader,
    metadata,
    name_of,
)
from toque.model.deploy_spec import FLEET

NAMED = "metricsApi.secret"
GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
_FILES = {"CERTIFICATE": "tls.crt", "CERTIFICATE_KEY": "tls.key", "CLIENT_CA": "client-ca.crt"}


def metrics_api() -> list[Tree]:
    """Return what makes it known to the cluster."""
    is_there = Both(Is("layout", FLEET), Has(NAMED))
    return [When(is_there, _service()), When(is_there, _registration())]


def environment() -> Sequence[Tree]:
    """Return the variables of a controller."""
    files = {name: f"{METRICS_API_DIR}/{file}" for name, file in _FILES.items()}
    told = {"METRICS_API": f"0.0.0.0:{METRICS_API_PORT}", **files}
    return [given(NAMED, variable(f"TOQUE_ADVICE_{name}", value)) for name, value in told.items()]


def ports() -> Sequence[Tree]:
    """Return the ports of a controller."""
    return [given(NAMED, port(METRICS_API, METRICS_API_PORT))]


def volumes() -> Sequence[Tree]:
    """Return the volumes of a controller."""
    return [given(NAMED, {"name": METRICS_API, "secret": {"secretName": Value(NAMED)}})]


def mounts() -> Sequence[Tree]:
    """Return where a controller has them."""
    return [given(NAMED, {"name": METRICS_API, "mountPath": METRICS_API_DIR, "readOnly": True})]


def _service() -> Table:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(CONTROLLER, name_of(METRICS_API)),
        "spec": {
            "selector": leader(),
            "ports": [{"name": METRICS_API, "port": 443, "targetPort": METRICS_API, "protocol": "TCP"}],
        },
    }


def _registration() -> Table:
    notes = When(Has("metricsApi.annotations"), Joined({}, "metricsApi.annotations"))
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {
            "name": f"{VERSION}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "toque"},
            "annotations": notes,
        },
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": name_of(METRICS_API), "namespace": Namespace(), "port": 443},
            "caBundle": given("metricsApi.caBundle"),
        },
    }
