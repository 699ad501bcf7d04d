"""A Deployment of a process of toque's own: gateways and controllers differ in little, and that is said by those who call this.

Law: every Pod keeps to Pod Security "restricted", writes only to volumes of its own, and has no token of the cluster unless it is
told to work there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toque.deploy.tree import Digest, Each, Has, Item, Joined, Key, TolerationItem, Tree, Value, When
from toque.deploy.words import (
    METRICS_PORT,
    SECRET_DIR,
    SETTINGS_DIR,
    SETTINGS_FILE,
    STATE_DIR,
    Table,
    labels,
    metadata,
    name_of,
    whole,
)
from toque.kube.restricted import NOBODY, container_security, pod_security

PROBE_S = 5
START_S_MAX = 600
"""A gateway opens its doors when it has found a controller, which may be new to the cluster too."""


@dataclass(frozen=True, slots=True)
class Process:
    """One kind of process: what it runs, what it is told, where it listens, and what may be otherwise with it.

    `table` is the table of its values. `works_in_cluster`: it has the token of its ServiceAccount.
    """

    component: str
    table: str
    args: Sequence[str]
    env: Sequence[Tree]
    ports: Sequence[Tree]
    pods: Tree
    grace_s: Tree
    strategy: Tree
    works_in_cluster: Tree
    env_from: Tree
    state: Tree
    """The volume of that name."""
    lifecycle: Mapping[str, Tree] = field(default_factory=dict)
    """What else its container is told of its beginning and its end."""
    volumes: Sequence[Tree] = ()
    mounts: Sequence[Tree] = ()


def variable(name: str, value: Tree) -> Table:
    """Return an entry of an environment."""
    return {"name": name, "value": value}


def port(name: str, number: int) -> Table:
    """Return an entry of a container's ports."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def deployment(process: Process) -> Table:
    """Return the Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(process.component),
        "spec": {
            "replicas": process.pods,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": labels(process.component)},
            "strategy": process.strategy,
            "template": {
                "metadata": {
                    "labels": labels(process.component),
                    # Another text of the settings is another Pod.
                    "annotations": Joined({"toque.dev/settings": Digest("config")}, f"{process.table}.annotations"),
                },
                "spec": _pod(process),
            },
        },
    }


def service_account(component: str) -> Table:
    """Return the ServiceAccount of a component."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(component),
        "automountServiceAccountToken": False,
    }


def given(path: str, tree: "Tree | None" = None) -> When:
    """Return a part that is there where there is something at a path: the value itself, if nothing else is said."""
    return When(Has(path), Value(path) if tree is None else tree)


def _pod(process: Process) -> Table:
    table = process.table
    return {
        "serviceAccountName": name_of(process.component),
        "automountServiceAccountToken": process.works_in_cluster,
        "enableServiceLinks": False,
        # A volume that somebody else made belongs to root; its group is made ours.
        "securityContext": {**whole(pod_security()), "fsGroup": NOBODY, "fsGroupChangePolicy": "OnRootMismatch"},
        "imagePullSecrets": When(Has("imagePullSecrets"), [Each("imagePullSecrets", {"name": Item()})]),
        "nodeSelector": given(f"{table}.nodeSelector"),
        "tolerations": When(Has(f"{table}.tolerations"), [Each(f"{table}.tolerations", TolerationItem())]),
        "priorityClassName": given(f"{table}.priorityClass"),
        "topologySpreadConstraints": [_spread(process.component)],
        "terminationGracePeriodSeconds": process.grace_s,
        "containers": [_container(process)],
        "volumes": [
            {"name": "settings", "configMap": {"name": name_of("settings")}},
            {"name": "secret", "secret": {"secretName": Value("secret")}},
            {"name": "scratch", "emptyDir": {}},
            process.state,
            *process.volumes,
        ],
    }


def _spread(component: str) -> Table:
    """On machines of their own, where there are several."""
    return {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(component)},
    }


def _container(process: Process) -> Table:
    table = process.table
    return {
        "name": process.component,
        "image": Value("image"),
        "imagePullPolicy": Value("imagePull"),
        "args": [*process.args, "--config", f"{SETTINGS_DIR}/{SETTINGS_FILE}"],
        "env": [*process.env, Each("extraEnv", {"name": Key(), "value": Item()})],
        "envFrom": process.env_from,
        "ports": [*process.ports],
        **_probes(),
        "resources": {
            "requests": {"cpu": Value(f"{table}.cpu"), "memory": Value(f"{table}.memory")},
            "limits": {"memory": Value(f"{table}.memoryMax")},
        },
        "securityContext": whole(container_security()),
        **process.lifecycle,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS_DIR, "readOnly": True},
            {"name": "secret", "mountPath": SECRET_DIR, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a volume of the Pod's own
            {"name": "state", "mountPath": STATE_DIR},
            *process.mounts,
        ],
    }


def _probes() -> Table:
    """Return how the kubelet asks: alive or not at once, ready while it takes what comes."""

    def asks(path: str) -> Table:
        return {"httpGet": {"path": path, "port": METRICS_PORT}, "periodSeconds": PROBE_S, "timeoutSeconds": 2}

    return {
        "startupProbe": asks("/livez") | {"periodSeconds": 1, "failureThreshold": START_S_MAX},
        "livenessProbe": asks("/livez") | {"failureThreshold": 3},
        "readinessProbe": asks("/readyz") | {"failureThreshold": 1},
    }
