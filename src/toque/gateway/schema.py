"""Schemas inside a request: an engine compiles them into a grammar that it then follows token by token (H10).

Law: what would keep an engine busy for everybody is refused at the door. Nothing is compiled or resolved here, and a schema
of ordinary size costs three searches for one byte.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw

from toque.model.errors import CallerError

SCHEMA_BYTES_MAX = 256 * 1024
"""One schema, or one set of template arguments. OpenAI allows 120,000 characters of names and values."""
DEPTH_MAX = 64
"""Levels of nesting. OpenAI allows 10 in a schema; an engine or a template that recurses comes to its end somewhere."""
ENUM_MAX = 1000
"""Values of all `enum` lists of one schema together, as OpenAI has it. llama.cpp tries them all for every token: 1000 take
SmolLM2-135M 14 s for one answer on two cores, 20,000 more than two minutes."""

_decode = msgspec.json.Decoder().decode


def check_schemas(objects: Sequence[Mapping[str, Raw]], param: str) -> None:
    """Hold a list of objects that have schemas in them to the limits. Raises `CallerError` that names `param`."""
    for members in objects:
        for member in members.values():
            check_schema(member, param)


def check_schema(schema: Raw, param: str) -> None:
    """Hold one value to the limits. Raises `CallerError` that names `param`."""
    text = bytes(schema)
    if len(text) > SCHEMA_BYTES_MAX:
        raise _beyond(param, f"is larger than {SCHEMA_BYTES_MAX} bytes")
    if text.count(b"{") + text.count(b"[") <= DEPTH_MAX and text.count(b",") < ENUM_MAX:
        return
    try:
        _check(_decode(text), param)
    except RecursionError:
        raise _too_deep(param) from None


def _check(schema: object, param: str) -> None:
    """Look at one level after the other, without recursion."""
    level, enum_values = [schema], 0
    for _ in range(DEPTH_MAX):
        enum_values += sum(map(_enum_length, level))
        if enum_values > ENUM_MAX:
            raise _beyond(param, f"has more than {ENUM_MAX} values in `enum`")
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return
    raise _too_deep(param)


def _parts(whole: object) -> Iterator[object]:
    """What stands one level deeper, as far as it can have levels of its own."""
    parts = whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ()
    return (part for part in parts if isinstance(part, dict | list))


def _enum_length(part: object) -> int:
    values = part.get("enum") if isinstance(part, dict) else None
    return len(values) if isinstance(values, list) else 0


def _too_deep(param: str) -> CallerError:
    return _beyond(param, f"is nested deeper than {DEPTH_MAX} levels")


def _beyond(param: str, what: str) -> CallerError:
    return CallerError(f"`{param}` {what}. Ask for a simpler one.", param=param)
