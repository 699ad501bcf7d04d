"""A setting: a field of a spec that carries its unit, bounds, default and the reason for the default.

Law: config, the reference page and the JSON Schema are all generated from these; nothing is said twice.
"""

from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a person must know about one field. `minimum` and `maximum` are inclusive; `above` is exclusive.

    A text with `choices` is one of them or, where it is `pluggable`, `package.module:Class`; one that is pluggable and
    declares no choices takes those of the core's table. Unit `path` marks a path: relative ones count from the
    settings file.
    """

    why: str
    unit: str = ""
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pluggable: bool = False


def setting(default: _T, about: Setting) -> _T:
    """Declare a dataclass field with a default and its description."""
    made: _T = field(default=default, metadata={"setting": about})
    return made
