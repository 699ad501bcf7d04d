"""Where a model's Pods may run, how they spread, how urgent they are, and how many may be taken away at once.

Law: pure; what a model does not say is not said to Kubernetes either, so that its own defaults hold.
"""

from collections.abc import Mapping

from toque.kube.words import Manifest, as_text, object_name, pool_labels
from toque.model.agent_spec import ModelSpec
from toque.model.placement import read_requirement, read_spread, read_toleration
from toque.model.pod_spec import PodSpec

PREFERENCE_MAX = 100
"""The most that a preference can weigh in Kubernetes; each further one weighs half of that before it."""


def placement(model: ModelSpec, fleet: str) -> Manifest:
    """Return the part of a Pod's spec that says where it may run, as whom, and how urgent it is."""
    spec = model.pod
    made: Manifest = {
        "nodeSelector": {label: as_text(value) for label, value in spec.node_selector.items()},
        "affinity": _affinity(spec),
        "tolerations": [toleration(text) for text in spec.tolerations],
        "topologySpreadConstraints": [_spread(text, pool_labels(fleet, model.pool.name)) for text in spec.spread],
        "priorityClassName": spec.priority_class,
        "runtimeClassName": spec.runtime_class,
        "serviceAccountName": spec.service_account,
        "imagePullSecrets": [{"name": name} for name in spec.image_pull_secrets],
    }
    return {name: value for name, value in made.items() if value}


def toleration(text: str) -> Manifest:
    """Return a taint that is put up with in Kubernetes' form."""
    taint = read_toleration(text)
    made: Manifest = {"key": taint.key, "operator": "Equal" if taint.value else "Exists"}
    return made | {name: value for name, value in (("value", taint.value), ("effect", taint.effect)) if value}


def disruption_budget(model: ModelSpec, fleet: str) -> Manifest:
    """Return how many of a model's Pods, of whatever version, may be away because machines are emptied."""
    labels = dict(pool_labels(fleet, model.pool.name))
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": object_name(model.pool.name), "labels": labels},
        "spec": {"maxUnavailable": model.pod.disruptions_max, "selector": {"matchLabels": labels}},
    }


def _affinity(spec: PodSpec) -> Manifest:
    node: Manifest = {}
    if spec.node_required:
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [_term(*spec.node_required)]}
    if spec.node_preferred:
        node["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": max(1, PREFERENCE_MAX >> place), "preference": _term(text)}
            for place, text in enumerate(spec.node_preferred)
        ]
    return {"nodeAffinity": node} if node else {}


def _term(*texts: str) -> Manifest:
    """Several requirements in one term must all hold."""
    return {"matchExpressions": [_requirement(text) for text in texts]}


def _requirement(text: str) -> Manifest:
    told = read_requirement(text)
    made: Manifest = {"key": told.key, "operator": told.operator}
    return made | ({"values": list(told.values)} if told.values else {})


def _spread(text: str, labels: Mapping[str, str]) -> Manifest:
    """Over all versions of the model: a new one shall not gather where the old ones are not."""
    told = read_spread(text)
    return {
        "topologyKey": told.key,
        "maxSkew": told.skew,
        "whenUnsatisfiable": told.rule,
        "labelSelector": {"matchLabels": dict(labels)},
    }
