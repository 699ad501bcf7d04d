"""Checks of a settings table: pydantic models made from its shape.

Law: unknown keys, wrong types and broken bounds are told here; what contradicts what is told in rules.py.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Annotated, Literal, Protocol, TypeAlias, cast, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from toque.config.moment import read_moment
from toque.config.shape import SERVICE, Entry, Shape

Scalar: TypeAlias = str | int | float | bool

LARGEST = 2**50
"""No number is larger (a PiB, 35 million years): beyond it are slips of the hand, and timers that overflow."""
_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for suffix, base in (("", 1024), ("iB", 1024), ("B", 1000))
}
_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)
CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_NAME = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/@-]{1,128}$")]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def read_size(amount: object) -> object:
    """Turn `"8GiB"` into bytes; what is no text passes through. Raises `ValueError` for a text that is no size."""
    if not isinstance(amount, str):
        return amount
    match = _SIZE.fullmatch(amount)
    if not match or match[2] not in _UNITS:
        raise ValueError('must be a number of bytes, or a size such as "512MiB" or "8GiB"')
    return int(float(match[1]) * _UNITS[match[2]])


def _table_type(name: str, shape: Shape) -> type[BaseModel]:
    fields = {key: _field(f"{name}.{key}", entry) for key, entry in shape.entries.items()}
    make = cast("_MakeModel", create_model)
    return make(name, __config__=_STRICT, __doc__=shape.why, **fields)


def _field(name: str, entry: Entry | Shape) -> tuple[object, object]:
    if isinstance(entry, Entry):
        default = ... if entry.default is MISSING else _plain(entry.default)
        return _value_type(entry), Field(default, description=description(entry))
    inner = _table_type(name, entry)
    if entry.is_named:
        return dict[_NAME, inner], Field(default_factory=dict, description=entry.why)  # type: ignore[valid-type]
    return inner, Field(default_factory=inner, description=entry.why)


def description(entry: Entry) -> str:
    """Say what a setting is for, its unit included."""
    unit = entry.about.unit
    return f"{entry.about.why} Unit: {unit}." if unit and unit not in {"path", "date"} else entry.about.why


def _value_type(entry: Entry) -> object:
    about, kind = entry.about, entry.hint
    if get_origin(kind) in (tuple, frozenset):
        return list[str]
    if get_origin(kind) is not None:
        return dict[str, Scalar]
    if about.choices:
        return _choice_type(about.choices, is_pluggable=about.pluggable)
    bounds = Field(ge=about.minimum, gt=about.above, le=about.maximum or LARGEST)
    if about.unit == "date":
        schema = WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]})
        return Annotated[float, BeforeValidator(read_moment), bounds, schema]
    if about.unit == "bytes":
        schema = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": about.minimum}, {"type": "string"}]})
        return Annotated[int, BeforeValidator(read_size), bounds, schema]
    return Annotated[kind, bounds] if kind in (int, float) else kind


def _choice_type(choices: tuple[str, ...], *, is_pluggable: bool) -> object:
    if not is_pluggable:
        return Literal[choices]
    known = [{"enum": list(choices)}, {"pattern": f"^{CLASS_PATH.pattern}$"}]

    def check(text: str) -> str:
        if text in choices or CLASS_PATH.fullmatch(text):
            return text
        raise ValueError(f"must be one of {', '.join(choices)}, or package.module:Class")

    return Annotated[str, AfterValidator(check), WithJsonSchema({"type": "string", "anyOf": known})]


def _plain(default: object) -> object:
    return list(default) if isinstance(default, tuple | frozenset) else default


class _MakeModel(Protocol):
    """The type of `create_model` as it is used here."""

    def __call__(self, name: str, /, **fields: object) -> type[BaseModel]:
        """Make a model class."""
        ...


ServiceTable = _table_type("Service", SERVICE)
"""The whole file as one checked table."""


def checked(table: Mapping[str, object]) -> dict[str, object]:
    """Return the table with every default filled in. Raises `pydantic.ValidationError`."""
    return ServiceTable.model_validate(dict(table)).model_dump()


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of a settings file, for editors."""
    schema = ServiceTable.model_json_schema(ref_template="#/$defs/{model}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "toque.toml"}
