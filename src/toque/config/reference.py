"""The configuration reference: every setting with its type, default, bounds and reason, as Markdown.

Law: nothing is written here that a spec says; `./dev docs` writes the page anew and a test holds it current.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING
from typing import get_origin

from toque.config.layers import FLAGS, variable
from toque.config.shape import SERVICE, Entry, Shape
from toque.config.source import KeyPath

_INTRODUCTION = """\
# Configuration

Made from the settings' own declarations by `./dev docs`; do not edit.

`toque up` needs no configuration. With one, it reads the file named by `--config`, else by `TOQUE_CONFIG`, else
`./toque.toml`. A flag beats an environment variable beats the file beats the default; `toque config show --origin` tells
where each value came from. Relative paths count from the settings file. Amounts of bytes may be written as `"512MiB"` or
`"8GiB"`. An unknown key is an error.

Editors that know JSON Schema complete and check the file when its first line names [toque.schema.json](toque.schema.json):

```toml
#:schema ./toque.schema.json
```
"""


def configuration_page() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *_section(SERVICE, ()), *_variables()]) + "\n"


def _section(shape: Shape, path: KeyPath) -> Iterator[str]:
    path = (*path, "NAME") if shape.is_named else path
    entries = {name: entry for name, entry in shape.entries.items() if isinstance(entry, Entry)}
    yield from (f"## `[{'.'.join(path)}]`" if path else "## Top of the file", "", shape.why, "")
    if entries:
        yield from ("| Setting | Type | Default | Bounds | Why |", "|---|---|---|---|---|")
        yield from (_row(name, entry) for name, entry in entries.items())
        yield ""
    for name, inner in shape.entries.items():
        if isinstance(inner, Shape):
            yield from _section(inner, (*path, name))


def _row(name: str, entry: Entry) -> str:
    cells = (f"`{name}`", _type(entry), _default(entry), _bounds(entry), entry.about.why.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _type(entry: Entry) -> str:
    about = entry.about
    if about.choices:
        return ", ".join([f"`{choice}`" for choice in about.choices] + ["`package.module:Class`"] * about.pluggable)
    match about.unit:
        case "bytes":
            return "bytes or size"
        case "path":
            return "path"
        case "date":
            return "date or time"
        case "":
            return _kind(entry.hint)
        case unit:
            return f"{_kind(entry.hint)}, {unit}"


def _kind(hint: object) -> str:
    if get_origin(hint) in (tuple, frozenset):
        return "list of texts"
    return next((word for kind, word in _KINDS if hint is kind), "table")


_KINDS = ((str, "text"), (int, "whole number"), (float, "number"), (bool, "true or false"))


def _default(entry: Entry) -> str:
    if entry.default is MISSING:
        return "must be given"
    if entry.about.unit == "bytes" and isinstance(entry.default, int) and entry.default:
        return f'`"{_size(entry.default)}"`'
    default = sorted(entry.default) if isinstance(entry.default, tuple | frozenset) else entry.default
    return "`{}`" if default == {} else f"`{json.dumps(default)}`"


def _size(amount_bytes: int) -> str:
    power = min((amount_bytes & -amount_bytes).bit_length() // 10, 3)
    return f"{amount_bytes >> 10 * power}{('', 'KiB', 'MiB', 'GiB')[power]}"


def _bounds(entry: Entry) -> str:
    about = entry.about
    words = [
        f"{word} {bound:g}"
        for word, bound in (("at least", about.minimum), ("above", about.above), ("at most", about.maximum))
        if bound is not None
    ]
    return ", ".join(words)


def _variables() -> Iterator[str]:
    flags = {path: flag for flag, path in FLAGS.items()}
    yield from ("## Environment variables and flags", "")
    yield "Settings of models and keys are only in the file. Variables that are not in this table are left alone."
    yield from ("", "| Setting | Variable | Flag of `toque up` |", "|---|---|---|")
    for path, _ in SERVICE.settings():
        flag = f"`{flags[path]}`" if path in flags else ""
        yield f"| `{'.'.join(path)}` | `{variable(path)}` | {flag} |"
