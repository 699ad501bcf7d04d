"""Names and labels of what toque keeps in a cluster: every part finds its own things by these, and nothing else.

Law: the same model has the same name everywhere; a name that Kubernetes would not take is made into one, never refused.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import TypeAlias

from toque.model.pool_object import GROUP

Manifest: TypeAlias = dict[str, object]
"""An object of Kubernetes, or a part of one, in the words of its API."""

FINALIZER = f"{GROUP}/drain"
"""What keeps a ModelPool that is deleted until its replicas have drained and are gone."""
LEASE = "toque-controller"
"""The Lease by which one controller of a namespace leads."""
MANAGER = "toque"
"""Field manager of server-side apply, and the value of the label that says whose an object is."""
FLEET_LABEL = f"{GROUP}/fleet"
POOL_LABEL = f"{GROUP}/pool"
VERSION_LABEL = f"{GROUP}/version"
LEADS_LABEL = f"{GROUP}/leads"
"""On the Pod of the controller that leads: "true"."""
SERVING = f"{GROUP}/serving"
"""Readiness gate of a replica's Pod: whether its gateway sends it requests."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

NAME_CHARACTERS_MAX = 40
"""Of a model's part in a name; Pods get two dozen more characters, and a label's value may have 63 in all."""
_DIGEST_CHARACTERS = 6


def object_name(pool: str) -> str:
    """Return the name of what a model has once, such as its Secret: `toque-MODEL`."""
    return f"toque-{safe_name(pool)}"


def safe_name(text: str) -> str:
    """Return a text as a DNS label; where that loses anything, a digest of the text tells it from its like."""
    safe = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if safe == text and len(safe) <= NAME_CHARACTERS_MAX:
        return safe
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{safe[:NAME_CHARACTERS_MAX]}-{digest}".strip("-")


def fleet_labels(fleet: str) -> Mapping[str, str]:
    """Return the labels of everything that one fleet keeps."""
    return {
        "app.kubernetes.io/name": "toque",
        "app.kubernetes.io/component": "replica",
        "app.kubernetes.io/managed-by": MANAGER,
        FLEET_LABEL: safe_name(fleet),
    }


def gateway_labels(fleet: str) -> Mapping[str, str]:
    """Return the labels that a fleet's gateways are found by, where they are Pods."""
    return {
        "app.kubernetes.io/name": "toque",
        "app.kubernetes.io/component": "gateway",
        FLEET_LABEL: safe_name(fleet),
    }


def pool_labels(fleet: str, pool: str) -> Mapping[str, str]:
    """Return the labels of everything that one model of a fleet has."""
    return {**fleet_labels(fleet), POOL_LABEL: safe_name(pool)}


def as_text(value: str | float | bool) -> str:  # noqa: FBT001 - a value among others
    """Write a value as Kubernetes wants it where only texts may stand: `true`, `0.5`, `4Gi`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
