"""The values of a deployment: `[deploy]` of the settings in the chart's spelling, with the rest of the settings and the models.

Law: the names are those of the settings in camelCase; nothing of the machine that renders them is among them. Raises `ConfigError`
for what cannot run in a cluster.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from toque.config.camel import camel, to_camel
from toque.config.crd import NAME_LENGTH_MAX
from toque.config.layers import ASSUMED, DEFAULT
from toque.config.shape import SERVICE, Shape
from toque.config.show import Shown, as_toml, shown
from toque.config.source import Table
from toque.config.travel import EMBEDDED
from toque.deploy.fill import MINOR_USUAL, Release
from toque.deploy.words import NAME_CHARACTERS_MAX
from toque.kube.words import safe_name
from toque.model.agent_spec import ModelSpec
from toque.model.deploy_spec import SINGLE
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.ports import MODELS_DIR

_AT_HOME = (
    "deploy.",
    "models.",
    "kubernetes.",
    "driver",
    "listen",
    "admin_listen",
    "metrics_listen",
    "keys_file",
    "records.state_dir",
    "jobs.store",
    "cluster.controllers",
    "cluster.token",
    "cluster.listen",
    "cluster.name",
)
"""Settings that stay at home: each process has its own in its environment, or they are this machine's."""
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
USUAL_NAMESPACE = "toque"


def deploy_shape() -> Shape:
    """Return the shape of `[deploy]`."""
    shape = SERVICE.entries["deploy"]
    assert isinstance(shape, Shape)
    return shape


def default_values() -> dict[str, Any]:
    """Return the chart's own values."""
    return {**_defaults(deploy_shape()), "config": "", "models": {}}


def release_of(spec: ServiceSpec, namespace: str = "", minor: int = MINOR_USUAL) -> Release:
    """Return the deployment that settings describe; its name is the fleet's."""
    name = spec.kubernetes.fleet
    if safe_name(name) != name or len(name) > NAME_CHARACTERS_MAX:
        raise ConfigError(
            f"The fleet {name!r} cannot give its name to objects of Kubernetes.",
            where="kubernetes.fleet",
            fix=f"Use small letters, digits and -; at most {NAME_CHARACTERS_MAX}.",
        )
    if not spec.deploy.image:
        raise ConfigError(
            "There is no image of toque to deploy.",
            where="deploy.image",
            fix='Write [deploy] image = "REGISTRY/toque:1", or say --image; docs/how-to/images.md makes one.',
        )
    place = namespace or spec.kubernetes.namespace or USUAL_NAMESPACE
    return Release(name, place, merged(default_values(), said_values(spec)), minor)


def said_values(spec: ServiceSpec) -> dict[str, Any]:
    """Return the values that differ from the chart's own: what the settings say."""
    said: dict[str, Any] = {}
    for one in _said(spec, "deploy."):
        *tables, last = map(camel, one.name.split("."))
        here = said
        for table in tables:
            here = here.setdefault(table, {})
        here[last] = _plain(one.value)
    is_single = spec.deploy.layout == SINGLE
    models = _models(spec)
    kept = [one for one in shown(spec) if one.origin != DEFAULT and not one.name.startswith(_AT_HOME)]
    lines = [as_toml(one, spec) for one in kept]
    if is_single:
        lines += [as_toml(one, spec) for model in models for one in _model_lines(model, spec)]
    if lines:
        said["config"] = "".join(f"{line}\n" for line in lines)
    if pools := {} if is_single else dict(_pools(models, spec)):
        said["models"] = pools
    return said


def _said(spec: ServiceSpec, prefix: str) -> Iterator[Shown]:
    """Yield what was said of the settings whose names begin so, by the rest of their names."""
    for one in shown(spec):
        if one.name.startswith(prefix) and one.origin != DEFAULT:
            yield Shown(one.name.removeprefix(prefix), one.value, one.origin)


def _model_lines(model: ModelSpec, spec: ServiceSpec) -> Iterator[Shown]:
    """Yield what was said of a model; where its replicas are, its file goes by its name alone."""
    prefix = f"models.{model.pool.name}."
    for one in _said(spec, prefix):
        value = one.value
        if one.name == "source" and model.agent.source != EMBEDDED:
            value = f"{MODELS_DIR}/{PurePosixPath(model.agent.source).name}"
        yield Shown(prefix + one.name, value, one.origin)


def _models(spec: ServiceSpec) -> list[ModelSpec]:
    """Return the models that somebody named; the one that `toque up` assumes where there is none is in no cluster."""
    named = [model for model in spec.models if spec.origins.get(f"models.{model.pool.name}.source") != ASSUMED]
    if not named and spec.deploy.layout == SINGLE:
        raise ConfigError(
            "A single Pod serves the models of the settings, and there is none.",
            where="models",
            fix='Name one with its pod.image, or write [deploy] layout = "fleet" and make ModelPools.',
        )
    return named


def _pools(models: Sequence[ModelSpec], spec: ServiceSpec) -> Iterator[tuple[str, Table]]:
    """Yield the `spec` of a ModelPool for each model."""
    for model in models:
        name = model.pool.name
        if not model.pod.image:
            raise ConfigError(
                f"In a fleet, models.{name} needs an image: its replicas are Pods.",
                where=f"models.{name}.pod.image",
                fix='Name one, or write [deploy] layout = "single" to serve hosted models too.',
            )
        if not _OBJECT_NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
            raise ConfigError(
                f"{name!r} cannot be the name of a ModelPool.",
                where=f"models.{name}",
                fix=f"Use small letters, digits, - and dots; at most {NAME_LENGTH_MAX}.",
            )
        table: Table = {}
        prefix = f"models.{name}."
        for one in _model_lines(model, spec):
            *tables, last = one.name.removeprefix(prefix).split(".")
            here: Any = table
            for each in tables:
                here = here.setdefault(each, {})
            here[last] = _plain(one.value)
        yield name, to_camel(table)


def _defaults(shape: Shape) -> dict[str, Any]:
    return {
        camel(name): _defaults(entry) if isinstance(entry, Shape) else _plain(entry.default)
        for name, entry in shape.entries.items()
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple | list) else value


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Put one set of values over another, as Helm does."""
    both = dict(lower)
    for name, value in upper.items():
        below = both.get(name)
        both[name] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return both
