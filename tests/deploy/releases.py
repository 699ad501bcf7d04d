"""Deployments of all kinds, as values over the chart's own: what every manifest is tried with."""

from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import yaml

from tests.pod_security import violations
from toque.deploy.everything import manifests
from toque.deploy.fill import Release
from toque.deploy.values import default_values, merged

IMAGE = "registry.example/toque@sha256:0123"
KUBERNETES = "1.35"
"""What manifests are written for."""
CHAT = {"slots": 4, "source": "/models/chat.gguf", "pod": {"image": "registry.example/chat:1"}}
FULL: Mapping[str, Any] = {
    "image": IMAGE,
    "imagePullSecrets": ["registry", "other"],
    "secret": "mine",
    "envSecrets": ["hosted"],
    "extraEnv": {"HTTPS_PROXY": "http://proxy.example:3128", "A": "true", "B": "1"},
    "jobsSecret": "jobs",
    "gateway": {
        "podsMax": 9,
        "nodeSelector": {"pool": "front", "fast": "yes"},
        "tolerations": ["front=yes:NoSchedule", "spot", "old:NoExecute", "a=b"],
        "priorityClass": "toque-interactive",
        "annotations": {"example.com/note": 'with "quotes": and <signs>', "b": "1e3"},
        "serviceType": "LoadBalancer",
        "servicePort": 8000,
        "serviceAnnotations": {"example.com/internal": "true"},
    },
    "controller": {"pods": 3, "tolerations": ["spot"], "nodeSelector": {"a": "b"}, "keda": True},
    "networkPolicy": {"dns": True, "cidrs": ["10.1.0.0/16", "192.0.2.7/32"]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "metricsApi": {"secret": "front", "caBundle": "Y2VydA==", "annotations": {"cert-manager.io/inject-ca-from": "a/b"}},
    "config": '[keys.ann]\nsha256 = "0"\n\n# \u00e9, a tab\t and {{ what is no template }}\n',
    "models": {"chat": CHAT, "a.b": {**CHAT, "slots": 1073741824, "options": {"x": 0.5, "y": True, "z": "no"}}},
}
RELEASES: Mapping[str, Mapping[str, Any]] = {
    "its own values": {"image": IMAGE},
    "everything": FULL,
    "nothing that can be left out": {
        "image": IMAGE,
        "gateway": {"pods": 1, "disruptionsMax": 0},
        "controller": {"pods": 1, "disruptionsMax": 0},
        "priority": {"interactive": "", "batch": ""},
        "networkPolicy": {"enabled": False},
    },
    "a single Pod": {"image": IMAGE, "layout": "single", "config": 'driver = "kubernetes"\n', "models": {"chat": CHAT}},
    "a single Pod with state and jobs": {**FULL, "layout": "single", "stateClaim": "state"},
    "names only": {"image": IMAGE, "networkPolicy": {"dns": True}},
    "addresses only": {"image": IMAGE, "networkPolicy": {"cidrs": ["10.0.0.0/8"]}},
}


def release(values: Mapping[str, Any], name: str = "toque", namespace: str = "models") -> Release:
    return Release(name, namespace, merged(default_values(), values))


def rendered(made: Release) -> list[dict[str, Any]]:
    """Every object of it, but for the definition of ModelPool."""
    return [dict(each) for part in manifests(made, with_definition=False).values() for each in part]


def read(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    named = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    assert len(named) == len(objects)
    return named


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in objects:
        if each["kind"] == "Deployment" or each["kind"] == "Job":
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]


def check(objects: list[dict[str, Any]]) -> None:
    """Fail for what Kubernetes would not take, or not into a namespace that enforces "restricted"."""
    for each in objects:
        if "." not in each["apiVersion"].partition("/")[0] or each["apiVersion"].endswith(("k8s.io/v1", "k8s.io/v2")):
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    for name, spec in pod_specs(objects):
        assert violations(spec) == [], name
        assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in spec["containers"])
