"""The two spellings of a model's settings: a `[models.NAME]` table (`scale_down_delay_s`), the `spec` of a ModelPool (`scaleDownDelayS`).

Law: the way there and back is mechanical and loses nothing; what stands under names of your own (options, node selectors) is
not touched.
"""

import re
from collections.abc import Callable, Mapping

from toque.config.shape import SERVICE, Entry, Shape
from toque.config.source import Table

_AFTER_SCORE = re.compile(r"_([a-z0-9])")
_CAPITAL = re.compile(r"[A-Z]")


def model_shape() -> Shape:
    """Return the shape of a `[models.NAME]` table."""
    shape = SERVICE.entries["models"]
    assert isinstance(shape, Shape)
    return shape


def camel(name: str) -> str:
    """`minimum_warm` to `minimumWarm`."""
    return _AFTER_SCORE.sub(lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """`minimumWarm` to `minimum_warm`."""
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def to_camel(table: Mapping[str, object]) -> Table:
    """Spell a `[models.NAME]` table as the `spec` of a ModelPool."""
    return _spelled(table, model_shape(), camel)


def from_camel(spec: Mapping[str, object]) -> Table:
    """Spell the `spec` of a ModelPool as a `[models.NAME]` table; unknown keys too, for the checks to tell."""
    return _spelled(spec, model_shape(), snake)


def _spelled(table: Mapping[str, object], shape: Shape, spell: Callable[[str], str]) -> Table:
    return {spell(name): _value(value, shape.entries.get(snake(name)), spell) for name, value in table.items()}


def _value(value: object, entry: Entry | Shape | None, spell: Callable[[str], str]) -> object:
    return _spelled(value, entry, spell) if isinstance(value, dict) and isinstance(entry, Shape) else value
