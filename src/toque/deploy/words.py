"""What toque's own objects in a cluster are called, and what they are found by.

Law: names and labels of replicas are the driver's; those of gateways and controllers are here.
"""

from typing import TypeAlias, cast

from toque.deploy.tree import Name, Namespace, Tree
from toque.kube.words import FLEET_LABEL, LEADS_LABEL, Manifest

GATEWAY, CONTROLLER, REPLICA = "gateway", "controller", "replica"
API_PORT, METRICS_PORT, CLUSTER_PORT, KEDA_PORT = 8080, 9090, 7070, 7071
METRICS_API_PORT = 8443
SETTINGS_DIR, SECRET_DIR, STATE_DIR = "/etc/toque", "/etc/toque-secret", "/state"
METRICS_API, METRICS_API_DIR = "metrics-api", "/etc/toque-metrics-api"
SETTINGS_FILE = "toque.toml"

Table: TypeAlias = dict[str, Tree]
NAME_CHARACTERS_MAX = 40
"""Of a release's name: it is a label of everything it has, and part of names."""


def name_of(component: str) -> Name:
    """Return the name of what a component has once: `RELEASE-COMPONENT`."""
    return Name(after=f"-{component}")


def leader() -> Table:
    """Return what the controller that leads is found by."""
    return {**labels(CONTROLLER), LEADS_LABEL: "true"}


def labels(component: str) -> Table:
    """Return what a component's Pods are found by; of replicas, a part of the labels that the driver gives them."""
    return {
        "app.kubernetes.io/name": "toque",
        "app.kubernetes.io/component": component,
        FLEET_LABEL: Name(),
    }


def metadata(component: str, name: "Tree | None" = None, **more: Tree) -> Table:
    """Return the metadata of an object in the release's namespace."""
    return {
        "name": name or name_of(component),
        "namespace": Namespace(),
        "labels": labels(component),
        **more,
    }


def whole(manifest: Manifest) -> Table:
    """Take a manifest as a tree, for it is one without holes."""
    return cast(Table, manifest)
