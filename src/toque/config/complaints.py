"""From what pydantic found to one `ConfigError` with file, line, reason and fix.

Law: only the first finding is told; the text of a setting that may hold a secret is never repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from toque.config.shape import SERVICE, Entry, Shape
from toque.config.source import KeyPath
from toque.model.errors import ConfigError

Blame: TypeAlias = Callable[[KeyPath], str]
"""Says where the value at a path came from: `toque.toml:4`, `TOQUE_LISTEN`, `--listen`."""

_REASONS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "list_type": 'must be a list of texts, such as ["a", "b"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "missing": "is missing",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be above {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_QUIET = frozenset({"key", "sha256", "former_sha256"})


def config_error(error: ValidationError, blame: Blame) -> ConfigError:
    """Return the first finding as an error to print."""
    found = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in found["loc"])
    if path[-1:] == ("[key]",):
        return _bad_name(path[:-1], blame)
    if found["type"] == "extra_forbidden":
        return unknown_key(path, blame)
    entry = SERVICE.at(path)
    why = entry.about.why if isinstance(entry, Entry) else entry.why if entry else ""
    return ConfigError(f"{dotted(path)} {_reason(found)}.", where=blame(path), fix=why)


def dotted(path: KeyPath) -> str:
    """Write a path as a person would say it: `models.chat.slots`."""
    return ".".join(path)


def unknown_key(path: KeyPath, blame: Blame) -> ConfigError:
    """Say that nothing is called that, and what was probably meant."""
    table = SERVICE.at(path[:-1])
    known: Mapping[str, Entry | Shape] = table.entries if isinstance(table, Shape) else {}
    return ConfigError(
        f"Unknown key {path[-1]!r}{' in ' + dotted(path[:-1]) if path[:-1] else ''}.",
        where=blame(path),
        fix=_inner_place(path[-1], known) or did_you_mean(path[-1], list(known)),
    )


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Name the closest known word, or all of them."""
    close = get_close_matches(word, known, 1, 0.55)
    return f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."


def _inner_place(word: str, known: Mapping[str, Entry | Shape]) -> str:
    for name, inner in known.items():
        if isinstance(inner, Shape) and not inner.is_named and word in inner.entries:
            return f"It belongs into the table {name}: {name} = {{ {word} = ... }}."
    return ""


def _bad_name(path: KeyPath, blame: Blame) -> ConfigError:
    return ConfigError(
        f"{path[-1][:140]!r} cannot be a name.",
        where=blame(path),
        fix="Names have 1 to 128 of these: letters, digits, and . _ : / @ -",
    )


def _reason(found: ErrorDetails) -> str:
    kind = found["type"]
    if kind not in _REASONS:
        return f"is not valid: {found['msg']}"
    shown = "" if str(found["loc"][-1]) in _QUIET or kind == "missing" else f", not {_short(found['input'])}"
    return _REASONS[kind].format(**found.get("ctx", {})) + shown


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
