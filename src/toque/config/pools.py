"""What `toque controller` reads: a settings file without models, and ModelPool objects, by the very rules of toque.toml.

Law: what is wrong with one pool is that pool's complaint: it goes by what was good last, and all others go on untouched. People
are told in the words of what they wrote: `spec.replicas.minimumWarm`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toque.config.camel import camel, from_camel, model_shape
from toque.config.layers import ASSUMED, Layers
from toque.config.pod_rules import KUBERNETES
from toque.config.read import read_layers, read_model
from toque.config.rules import first_contradiction
from toque.config.shape import Shape
from toque.config.source import KeyPath, read_source
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.model.fallback_spec import CanarySpec, FallbackSpec
from toque.model.service_spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class Agreement:
    """Models that hold together, and by pool's name what is wrong with what it says."""

    models: tuple[ModelSpec, ...]
    complaints: Mapping[str, str]


def read_controller(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> ServiceSpec:
    """Return a controller's settings: no models, no keys (it has no door), and replicas that outlive it.

    Raises `ConfigError` for the first thing that is wrong, models too: they come from ModelPools.
    """
    layers = Layers(read_source(path) if path else None, environment, flags)
    if layers.table.pop("models", None) and layers.origin(("models",)) != ASSUMED:
        raise ConfigError(
            "A controller has no models of its own.",
            where=layers.blame(("models",)),
            fix="Make a ModelPool of each: docs/how-to/operator.md.",
        )
    for setting in ("keys", "keys_file", "listen"):
        layers.table.pop(setting, None)
    layers.table["driver"] = KUBERNETES
    spec = read_layers(layers)
    kubernetes = replace(spec.kubernetes, keep=True)
    return replace(spec, kubernetes=kubernetes, keyless_may_leave=True)  # whose request may leave is judged at a door


def read_pool(name: str, spec: Mapping[str, object]) -> ModelSpec:
    """Return the model of a ModelPool called `name`, each setting checked alone. Raises `ConfigError`."""
    try:
        return read_model(name, from_camel(spec), KUBERNETES, _place)
    except ConfigError as error:
        told = _in_words_of(name, error.message)
        raise ConfigError(told, where=error.where, fix=_in_words_of(name, error.fix)) from error


def agree(base: ServiceSpec, wanted: Mapping[str, Sequence[ModelSpec]]) -> Agreement:
    """Find out which models hold together. `wanted` has by pool what it may go by, best first: what it says, what was good last.

    A pool none of whose models can stand, not even without the other models that it names, is left out. Raises `ConfigError` where it is the base
    that is wrong.
    """
    left = {name: _ways(models) for name, models in wanted.items() if models}
    complaints: dict[str, str] = {}
    while True:
        models = tuple(left[name][0] for name in sorted(left))
        wrong = first_contradiction(replace(base, models=models))
        if wrong is None:
            return Agreement(models, complaints)
        name = wrong.path[1] if wrong.path[0] == "models" and len(wrong.path) > 1 else ""
        if name not in left:
            raise ConfigError(wrong.message, where=".".join(wrong.path), fix=wrong.fix)
        complaints.setdefault(name, _in_words_of(name, f"{_place(wrong.path)}: {wrong.message} {wrong.fix}"))
        del left[name][0]
        if not left[name]:
            del left[name]


def _ways(models: Sequence[ModelSpec]) -> list[ModelSpec]:
    """All that a pool may come to; in the end what it has without the other models that it names, which may be gone."""
    last = models[-1]
    bare = replace(last, pool=replace(last.pool, fallback=FallbackSpec(), canary=CanarySpec()))
    return [*models, bare] if bare != last else list(models)


def _place(path: KeyPath) -> str:
    return ".".join(["spec", *map(camel, path[2:])])


def _settings(shape: Shape) -> set[str]:
    names = set(shape.entries)
    for entry in shape.entries.values():
        if isinstance(entry, Shape):
            names |= _settings(entry)
    return names


_SCORED = {name for name in _settings(model_shape()) if "_" in name}
_WORD = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")


def _in_words_of(name: str, text: str) -> str:
    """Say `minimumWarm` where toque.toml has `minimum_warm`, and `spec` for `models.NAME`."""
    text = text.replace(f"models.{name}", "spec")
    return _WORD.sub(lambda found: camel(found[0]) if found[0] in _SCORED else found[0], text)
