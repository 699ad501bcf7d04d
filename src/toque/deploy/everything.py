"""Everything that a deployment is made of, in the order in which it is applied.

Law: what others refer to comes first; the definition of ModelPool is no tree, for nothing in it depends on values.
"""

from collections.abc import Mapping, Sequence

from toque.config.crd import modelpool_crd
from toque.deploy.fill import Release, parts
from toque.deploy.metrics_api import metrics_api
from toque.deploy.parts import controller, gateway, models, settings
from toque.deploy.surroundings import network_policies, priority_classes, service_monitor
from toque.deploy.tree import Tree
from toque.kube.words import Manifest
from toque.model.deploy_spec import FLEET

RULES_SINCE = 25
"""The Kubernetes 1.x that knows rules over several settings of a definition."""


def templates() -> Mapping[str, Sequence[Tree]]:
    """Return the trees by the name of the chart's file that they stand in."""
    return {
        "priority.yaml": priority_classes(),
        "settings.yaml": [settings()],
        "network.yaml": network_policies(),
        "controller.yaml": controller(),
        "metrics-api.yaml": metrics_api(),
        "gateway.yaml": gateway(),
        "monitoring.yaml": [service_monitor()],
        "models.yaml": [models()],
    }


def manifests(
    release: Release, *, with_namespace: bool = False, with_definition: bool = True, with_objects: bool = True
) -> Mapping[str, Sequence[Manifest]]:
    """Return every object of a deployment, by the file that it belongs in."""
    made: dict[str, Sequence[Manifest]] = {}
    if with_namespace:
        made["namespace.yaml"] = [_namespace(release)]
    if with_definition and release.at("layout") == FLEET:
        made["definition.yaml"] = [modelpool_crd() if release.minor >= RULES_SINCE else _older(modelpool_crd())]
    if with_objects:
        for name, trees in templates().items():
            made[name] = [each for tree in trees for each in parts(tree, release)]
    return made


def _namespace(release: Release) -> Manifest:
    """No Pod in it may be less than restricted."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": release.namespace, "labels": labels},
    }


def _older(definition: Manifest) -> Manifest:
    """Leave out the rules over several settings: kubectl refuses them where a cluster does not know them, and the controller tells."""
    kept = {name: part for name, part in definition.items() if name != "x-kubernetes-validations"}
    return {name: _without_rules(part) for name, part in kept.items()}


def _without_rules(part: object) -> object:
    if isinstance(part, dict):
        return _older(part)
    return [_without_rules(each) for each in part] if isinstance(part, list) else part
