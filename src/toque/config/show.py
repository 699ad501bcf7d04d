"""The settings in force, one by one, for `toque config show`, and what differs between two configurations.

Law: a reference to a secret is shown, a secret never is (none is in a spec).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import cast

from toque.config.layers import DEFAULT
from toque.model.service_spec import ServiceSpec

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting, the value in force, and where it came from."""

    name: str
    value: object
    origin: str


def shown(spec: ServiceSpec) -> list[Shown]:
    """Return every setting, in the order of the file's reference."""
    values = dict(_values("", spec))
    for model in spec.models:
        here = f"models.{model.pool.name}."
        values |= dict(_values(here, model.pool)) | dict(_values(here, model.agent))
        values |= dict(_values(f"{here}isolation.", model.isolation)) | dict(_values(f"{here}pod.", model.pod))
    for key in spec.keys:
        values |= dict(_values(f"keys.{key.name}.", key))
    capacity = spec.capacity
    values |= {
        "capacity.memory": capacity.memory_bytes,
        "capacity.cores": capacity.cores,
        "capacity.gpu_memory": capacity.gpu_memory_bytes,
    }
    return [Shown(name, values[name], origin) for name, origin in spec.origins.items()]


def as_toml(one: Shown, spec: ServiceSpec) -> str:
    """Write a setting as the line of a file that gives the same again."""
    return f"{_toml_name(one.name, spec)} = {toml_text(one.value)}"


def _values(prefix: str, spec: object) -> Iterator[tuple[str, object]]:
    assert is_dataclass(spec)
    for field in fields(spec):
        value = getattr(spec, field.name)
        if is_dataclass(value):
            yield from _values(f"{prefix}{field.name}.", value)
        else:
            yield f"{prefix}{field.name}", sorted(value) if isinstance(value, frozenset) else value


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that two configurations do not share; None where one of them has no such setting."""

    before: Shown | None
    after: Shown | None

    @property
    def name(self) -> str:
        """The setting's dotted name."""
        one = self.before or self.after
        assert one is not None, "a change has a side"
        return one.name

    def lines(self) -> list[str]:
        """Write it as `- NAME = BEFORE` and `+ NAME = AFTER`; of what comes or goes whole, only what was set."""
        is_whole = self.before is not None and self.after is not None
        sides = (("-", self.before), ("+", self.after))
        return [
            f"{mark} {one.name} = {_text(one.value)}"
            for mark, one in sides
            if one and (is_whole or one.origin != DEFAULT)
        ]


def changes(before: ServiceSpec, after: ServiceSpec) -> list[Change]:
    """Return the settings that differ in value, in the order of the file's reference."""
    old = {one.name: one for one in shown(before)}
    new = {one.name: one for one in shown(after)}
    found = [Change(old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]
    return [one for one in found if not (one.before and one.after and one.before.value == one.after.value)]


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else list(cast(Iterable[object], value))


def _toml_name(name: str, spec: ServiceSpec) -> str:
    """Quote the name of a model or key inside a dotted name where TOML wants it."""
    own = [("models", model.pool.name) for model in spec.models] + [("keys", key.name) for key in spec.keys]
    for table, word in sorted(own, key=lambda pair: -len(pair[1])):
        if name.startswith(f"{table}.{word}.") and not _BARE.fullmatch(word):
            return f"{table}.{json.dumps(word)}{name.removeprefix(f'{table}.{word}')}"
    return name


def toml_text(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml_text(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
