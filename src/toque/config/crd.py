"""The CustomResourceDefinition of ModelPool: the shape of a `[models.NAME]` table as a Kubernetes object, with its status.

Law: the schema of `spec` is read off the specs, never written by hand; it is structural, so that every API server from 1.20 on
takes it, and what two settings say together is checked by the controller and told in the object's conditions as well.
"""

from collections.abc import Mapping
from typing import TypeAlias, get_args, get_origin

from toque.config.camel import camel, model_shape
from toque.config.shape import Entry, Shape
from toque.config.tables import CLASS_PATH, LARGEST, description
from toque.model.pool_object import GROUP, KIND, PLURAL, VERSION

NAME_LENGTH_MAX = 57
"""The Deployment of a pool is called `toque-NAME`, and names that are labels too have at most 63 letters."""

_Json: TypeAlias = dict[str, object]

_FREE: _Json = {"x-kubernetes-preserve-unknown-fields": True}
_SIZE: _Json = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
_REQUIRED: Mapping[tuple[str, ...], tuple[str, ...]] = {(): ("pod",), ("pod",): ("image",)}
"""What a ModelPool must say, by the table it stands in: its replicas are Pods, and a Pod has an image."""
_SCALED = ("replicas", "target")
"""The number that the scale subresource reads and writes. It has a default in the schema, for there must be one to read."""
_ORDERED: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("replicas",): ("minimum_warm", "maximum"),
    ("scaling",): ("burst_window_s", "stable_window_s"),
    ("restart",): ("backoff_s_min", "backoff_s_max"),
}
"""Settings of a table of which the first must not be above the second, where both are said."""


def modelpool_crd() -> _Json:
    """Return the manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "modelpool",
                "shortNames": ["mp"],
                "categories": ["toque"],
            },
            "versions": [_version()],
        },
    }


def _version() -> _Json:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": f".spec.{'.'.join(_SCALED)}",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": _COLUMNS,
        "schema": {"openAPIV3Schema": _schema()},
    }


def _column(name: str, kind: str, path: str, why: str, priority: int = 0) -> _Json:
    """Priority 0 is shown always, 1 with `-o wide`."""
    return {"name": name, "type": kind, "jsonPath": path, "description": why, "priority": priority}


_COLUMNS = [
    _column("Ready", "integer", ".status.ready", "Replicas that take requests."),
    _column("Desired", "integer", ".status.desired", "Replicas that there shall be."),
    _column("Reason", "string", ".status.reason", "Why so many."),
    _column("Age", "date", ".metadata.creationTimestamp", "Since when the pool is there."),
    _column("Image", "string", ".spec.pod.image", "What its replicas run.", 1),
    _column("Target", "integer", ".spec.replicas.target", "The number that somebody else sets; 0: none.", 1),
    _column("Cold start", "number", ".status.coldStart.totalS", "Seconds from an order to a ready replica.", 1),
]


def _schema() -> _Json:
    return {
        "type": "object",
        "description": "A model, and the pool of replicas that serves it.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": NAME_LENGTH_MAX}},
            },
            "spec": _table(model_shape(), ()),
            "status": _STATUS,
        },
    }


# ---- spec ------------------------------------------------------------------------------------------------------------


def _table(shape: Shape, path: tuple[str, ...]) -> _Json:
    properties = {camel(name): _property(entry, (*path, name)) for name, entry in shape.entries.items()}
    table: _Json = {"type": "object", "description": shape.why, "properties": properties}
    if required := [camel(name) for name in _REQUIRED.get(path, ()) if name in shape.entries]:
        table["required"] = required
    if path == _SCALED[:-1]:
        table["default"] = {}
    if path in _ORDERED:
        lower, upper = map(camel, _ORDERED[path])
        rule = f"!has(self.{lower}) || !has(self.{upper}) || self.{lower} <= self.{upper}"
        table["x-kubernetes-validations"] = [{"rule": rule, "message": f"{lower} is above {upper}"}]
    return table


def _property(entry: Entry | Shape, path: tuple[str, ...]) -> _Json:
    if isinstance(entry, Shape):
        return _table(entry, path)
    default = {"default": entry.default} if path == _SCALED else {}
    return {"description": description(entry), **_value(entry), **default}


def _value(entry: Entry) -> _Json:
    kind, about = entry.hint, entry.about
    if get_origin(kind) in (tuple, frozenset):
        return {"type": "array", "items": {"type": "string"}}
    if get_origin(kind) is not None:
        values = {"type": "string"} if get_args(kind)[-1] is str else _FREE
        return {"type": "object", "additionalProperties": values}
    if about.unit == "bytes":
        return _SIZE
    if kind is str:
        return {"type": "string", **_choice(about.choices, is_pluggable=about.pluggable)}
    if kind is bool:
        return {"type": "boolean"}
    return {"type": "integer" if kind is int else "number", **_bounds(entry)}


def _choice(choices: tuple[str, ...], *, is_pluggable: bool) -> _Json:
    if not choices:
        return {}
    known: _Json = {"enum": list(choices)}
    return {"anyOf": [known, {"pattern": f"^{CLASS_PATH.pattern}$"}]} if is_pluggable else known


def _bounds(entry: Entry) -> _Json:
    """An exclusive bound is a mark beside the bound here, as in OpenAPI 3.0."""
    about = entry.about
    bounds: _Json = {"maximum": about.maximum or LARGEST}
    if about.above is not None:
        return bounds | {"minimum": about.above, "exclusiveMinimum": True}
    return bounds if about.minimum is None else bounds | {"minimum": about.minimum}


# ---- status ----------------------------------------------------------------------------------------------------------


def _told(kind: str, why: str, **more: object) -> _Json:
    return {"type": kind, "description": why, **more}


_CONDITION: _Json = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": _told("string", "Ready: as many replicas as shall be. Progressing: on the way. Degraded: it cannot."),
        "status": _told("string", "Whether it holds.", enum=["True", "False", "Unknown"]),
        "reason": _told("string", "Why, in one word for programs."),
        "message": _told("string", "Why, in a sentence for people."),
        "observedGeneration": _told("integer", "The generation of the spec that it tells of."),
        "lastTransitionTime": _told("string", "Since when.", format="date-time"),
    },
}
_STATUS: _Json = {
    "type": "object",
    "description": "What has become of it.",
    "properties": {
        "observedGeneration": _told("integer", "The generation of the spec that was read last."),
        "replicas": _told("integer", "Replicas there are, those that are coming too."),
        "ready": _told("integer", "Replicas that take requests."),
        "desired": _told("integer", "Replicas that there shall be."),
        "reason": _told("string", "Why so many."),
        "selector": _told("string", "The labels of its Pods, for whoever scales it from outside."),
        "coldStart": _told(
            "object",
            "How long a replica takes from its order until it is ready, by phase, in seconds.",
            properties={name: {"type": "number"} for name in ("spawnS", "loadS", "warmUpS", "totalS")},
        ),
        "conditions": {
            "type": "array",
            "description": "Ready, Progressing and Degraded.",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}
