"""The settings in force, one by one, for `toque config show`.

Law: a reference to a secret is shown, a secret never is (none is in a spec).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

from toque.model.service_spec import ServiceSpec


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
    for key in spec.keys:
        values |= dict(_values(f"keys.{key.name}.", key))
    capacity = spec.capacity
    values |= {
        "capacity.memory": capacity.memory_bytes,
        "capacity.cores": capacity.cores,
        "capacity.gpu_memory": capacity.gpu_memory_bytes,
    }
    return [Shown(name, values[name], origin) for name, origin in spec.origins.items()]


def _values(prefix: str, spec: object) -> Iterator[tuple[str, object]]:
    assert is_dataclass(spec)
    for field in fields(spec):
        value = getattr(spec, field.name)
        if is_dataclass(value):
            yield from _values(f"{prefix}{field.name}.", value)
        else:
            yield f"{prefix}{field.name}", sorted(value) if isinstance(value, frozenset) else value
