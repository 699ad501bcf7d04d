"""What a model's replicas are in a cluster: the Deployment of one version of it, as Kubernetes' own mappings.

Law: pure; the same model gives the same Pods and the same version, and another Pod is another version. Every Pod keeps to Pod
Security "restricted": no root, no privilege, nothing writable but its scratch, no token of the cluster.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from toque.kube.placement import placement
from toque.kube.restricted import container_security, pod_security
from toque.kube.words import SERVING, VERSION_LABEL, Manifest, as_text, object_name, pool_labels
from toque.model.agent_spec import ModelSpec
from toque.model.pod_spec import PodSpec, Quantities
from toque.ports import MODELS_DIR, REPLICA_SECRET, REPLICA_SETTINGS

CONTAINER = "replica"
SECRET_KEY = "secret"  # noqa: S105 - the name of an entry, not a secret
MODEL_NOTE = "toque.dev/model"
"""Annotation: the model's name as it is, for labels cannot carry every name."""
LOADING_S_MAX = 86_400
"""How long the kubelet lets a replica load: longer than any. `startup_timeout_s` is its driver's to keep, and no part of a version."""
_VERSION_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: its Pods' manifest and what it is called. `settings` are the replica's own, as TOML text.

    `mark` is a short name of its Pods: another manifest, another mark. `owner` is the ownerReference of whatever is to take all
    of this with it when it is deleted (None: nothing).
    """

    model: ModelSpec
    settings: str
    fleet: str
    mark: str
    owner: Mapping[str, object] | None = None

    @property
    def name(self) -> str:
        """The name of its Deployment: `toque-MODEL-MARK`."""
        return f"{object_name(self.model.pool.name)}-{self.mark}"

    @property
    def labels(self) -> Mapping[str, str]:
        """What its Deployment and its Pods are found by."""
        return {**pool_labels(self.fleet, self.model.pool.name), VERSION_LABEL: self.mark}


def version_of(model: ModelSpec, settings: str, fleet: str, owner: Mapping[str, object] | None = None) -> Version:
    """Say which version of a model this is. Whoever owns it is a part of it: what a former owner had goes with that."""
    text = json.dumps(pod(model, settings, fleet), sort_keys=True) + (str(owner["uid"]) if owner else "")
    return Version(model, settings, fleet, hashlib.sha256(text.encode()).hexdigest()[:_VERSION_CHARACTERS], owner)


def deployment(version: Version, replicas: int) -> Manifest:
    """Return the Deployment of one version with that many Pods."""
    labels = version.labels
    metadata: Manifest = {
        "name": version.name,
        "labels": dict(labels),
        "annotations": {MODEL_NOTE: version.model.pool.name},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata | owned_by(version.owner),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": dict(labels)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": pod(version.model, version.settings, version.fleet),
            },
        },
    }


def secret(pool: str, fleet: str, text: str, owner: Mapping[str, object] | None = None) -> Manifest:
    """Return the Secret that a model's replicas answer to. It holds the text itself: never print it."""
    metadata: Manifest = {"name": object_name(pool), "labels": dict(pool_labels(fleet, pool))}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata | owned_by(owner),
        "type": "Opaque",
        "stringData": {SECRET_KEY: text},
    }


def owned_by(owner: Mapping[str, object] | None) -> Manifest:
    """Return the part of an object's metadata that says whose it is."""
    return {"ownerReferences": [dict(owner)]} if owner else {}


def pod(model: ModelSpec, settings: str, fleet: str) -> Manifest:
    """Return the spec of a replica's Pod."""
    spec = model.pod
    made: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "readinessGates": [{"conditionType": SERVING}],
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": spec.termination_grace_s,
        "containers": [container(model, settings)],
        "volumes": [{"name": name, **volume} for name, (_, volume) in _volumes(spec).items()],
    }
    return made | placement(model, fleet)


def container(model: ModelSpec, settings: str) -> Manifest:
    """Return the one container of a replica's Pod."""
    spec = model.pod
    made: Manifest = {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull,
        "env": [
            {"name": REPLICA_SETTINGS, "value": settings},
            {
                "name": REPLICA_SECRET,
                "valueFrom": {"secretKeyRef": {"name": object_name(model.pool.name), "key": SECRET_KEY}},
            },
        ],
        "ports": [{"name": "http", "containerPort": spec.port}],
        "resources": resources(model),
        "securityContext": container_security(),
        # The last lines are what a person is told when a start fails.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": name, **mount} for name, (mount, _) in _volumes(spec).items()],
    }
    return made | _command(model) | probes()


def probes() -> Manifest:
    """Return how the kubelet finds out that a replica answers.

    By its port alone: what it answers is asked by whoever has its secret, which a probe's manifest would show to everybody.
    """
    connects = {"tcpSocket": {"port": "http"}, "timeoutSeconds": 2}
    return {
        "startupProbe": {**connects, "periodSeconds": 1, "failureThreshold": LOADING_S_MAX},
        "readinessProbe": {**connects, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**connects, "periodSeconds": 10, "failureThreshold": 3},
    }


def resources(model: ModelSpec) -> Manifest:
    """Return requests and limits; the maxima of `isolation` are limits where `pod` says nothing."""
    isolation = model.isolation
    limits: dict[str, str] = {}
    if isolation.cpu_max:
        limits["cpu"] = as_text(isolation.cpu_max)
    if isolation.memory_bytes_max:
        limits["memory"] = as_text(isolation.memory_bytes_max)
    made: Manifest = {"requests": _amounts(model.pod.requests), "limits": limits | _amounts(model.pod.limits)}
    return {name: amounts for name, amounts in made.items() if amounts}


def _volumes(spec: PodSpec) -> dict[str, tuple[Manifest, Manifest]]:
    """Return where each volume is mounted, and what it is, by its name: the scratch, and the weights if not in the image."""
    empty: Manifest = {"emptyDir": {"sizeLimit": str(spec.scratch_bytes_max)}}
    made: dict[str, tuple[Manifest, Manifest]] = {
        "scratch": ({"mountPath": "/tmp"}, empty),  # noqa: S108 - a volume of the Pod's own
    }
    kind, _, claim = spec.weights.partition(":")
    if kind == "scratch":
        made["weights"] = ({"mountPath": MODELS_DIR}, {"emptyDir": {}})
    elif kind == "claim":
        volume: Manifest = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        made["weights"] = ({"mountPath": MODELS_DIR, "readOnly": True}, volume)
    return made


def _command(model: ModelSpec) -> Manifest:
    if model.pod.command:
        return {"command": list(model.pod.command)}
    return {"args": ["replica", model.pool.name, "--listen", f"0.0.0.0:{model.pod.port}"]}


def _amounts(amounts: Quantities) -> dict[str, str]:
    return {resource: as_text(amount) for resource, amount in amounts.items()}
