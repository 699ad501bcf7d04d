"""Writes objects as YAML, and trees with holes as YAML for Helm to fill.

Law: one writer for both, so that a template looks like what becomes of it. What could be read as something else is quoted, in the
form that JSON and YAML share.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, assert_never

from toque.deploy.tree import (
    Api,
    Both,
    Condition,
    Digest,
    Each,
    Has,
    Hole,
    Is,
    Item,
    Joined,
    Key,
    Name,
    Namespace,
    Not,
    Since,
    Told,
    TolerationItem,
    Tree,
    Value,
    When,
)

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*", re.ASCII)
_WORDS = re.compile(r"true|false|yes|no|on|off|null|y|n", re.IGNORECASE)
"""What YAML takes for something else than a text, in one of its versions."""
STEP = "  "
LIST_CHARACTERS_MAX = 80


def document(tree: Tree) -> str:
    """Write objects, one after the other: an object, or what stands for some of them."""
    return "".join(f"{line}\n" for line in _documents(tree))


def documents(trees: Sequence[Tree]) -> str:
    """Write several of these."""
    return "".join(f"{line}\n" for line in _series(trees, "", _documents))


def _documents(tree: Tree) -> Iterator[str]:
    if isinstance(tree, When):
        yield from _choice(tree, "", _documents)
    elif isinstance(tree, Each):
        yield f"{{{{- range $key, $item := $.Values.{tree.path} }}}}"
        yield from _documents(tree.part)
        yield "{{- end }}"
    else:
        yield "---"
        yield from _lines(tree, "")


def _lines(tree: Tree, pad: str) -> Iterator[str]:
    """Write a table or a list, each line indented by `pad`."""
    if isinstance(tree, Mapping):
        for name, part in tree.items():
            yield from _entry(name, part, pad)
    elif isinstance(tree, Joined):
        yield from _lines(tree.entries, pad)
        yield f"{pad}{{{{- range $key, $item := $.Values.{tree.path} }}}}"
        yield f"{pad}{{{{ toJson $key }}}}: {{{{ toJson $item }}}}"
        yield f"{pad}{{{{- end }}}}"
    else:
        assert isinstance(tree, Sequence)
        yield from _series(tree, pad, lambda part: _item(part, pad))


def _entry(name: str, part: Tree, pad: str) -> Iterator[str]:
    if isinstance(part, When):
        yield from _choice(part, pad, lambda chosen: _entry(name, chosen, pad))
    elif isinstance(part, str) and _is_block(part):
        yield f"{pad}{_text(name)}: |"
        yield from (f"{pad}{STEP}{line}" if line else "" for line in part.splitlines())
    elif _is_flat(part):
        yield f"{pad}{_text(name)}: {_scalar(part)}"
    else:
        yield f"{pad}{_text(name)}:"
        yield from _lines(part, pad + STEP)


def _item(part: Tree, pad: str) -> Iterator[str]:
    if isinstance(part, When):
        yield from _choice(part, pad, lambda chosen: _item(chosen, pad))
    elif isinstance(part, Each):
        yield f"{pad}{{{{- range $key, $item := $.Values.{part.path} }}}}"
        yield from _item(part.part, pad)
        yield f"{pad}{{{{- end }}}}"
    elif _is_flat(part):
        yield f"{pad}- {_scalar(part)}"
    else:
        first, *rest = _lines(part, pad + STEP)
        yield f"{pad}- {first.lstrip()}"
        yield from rest


def _series(parts: Sequence[Tree], pad: str, write: Callable[[Tree], Iterator[str]]) -> Iterator[str]:
    """Write parts one after the other; neighbours that are there under one condition share it."""
    for condition, group in groupby(parts, _only_if):
        if condition is not None:
            yield f"{pad}{{{{- if {_condition(condition)} }}}}"
        for part in group:
            yield from write(part.then if condition is not None and isinstance(part, When) else part)
        if condition is not None:
            yield f"{pad}{{{{- end }}}}"


def _only_if(part: Tree) -> Condition | None:
    """Return the condition without which there is nothing of a part; None where there is something anyway."""
    return part.condition if isinstance(part, When) and part.otherwise is None else None


def _choice(choice: When, pad: str, write: Callable[[Tree], Iterator[str]]) -> Iterator[str]:
    yield f"{pad}{{{{- if {_condition(choice.condition)} }}}}"
    yield from write(choice.then)
    if choice.otherwise is not None:
        yield f"{pad}{{{{- else }}}}"
        yield from write(choice.otherwise)
    yield f"{pad}{{{{- end }}}}"


def _is_block(text: str) -> bool:
    """Whether a text is lines that can stand as they are: the first begins with no blank, and one end of a line ends the last."""
    lines = text.split("\n")
    return (
        len(lines) > 2
        and not lines[-1]
        and bool(lines[-2])
        and not text[0].isspace()
        and all(map(str.isprintable, lines))
    )


def _is_flat(part: Tree) -> bool:
    """Whether a part is written on its key's line: no table, and no list but one of a few short texts or numbers."""
    if isinstance(part, str):
        return True
    if isinstance(part, Sequence):
        is_plain = all(isinstance(each, str | int) for each in part)
        return is_plain and sum(len(str(each)) + 2 for each in part) < LIST_CHARACTERS_MAX
    return part == {} or not isinstance(part, Mapping | Joined)


def _scalar(part: Any) -> str:
    if isinstance(part, str):
        return _text(part)
    if isinstance(part, Sequence):
        return f"[{', '.join(map(_scalar, part))}]"
    if isinstance(part, bool | int | float | Mapping):
        return json.dumps(part)
    if part == Name():
        return '{{ include "toque.name" $ | toJson }}'
    if isinstance(part, Name) and not part.before and _PLAIN.fullmatch(part.after.lstrip("-")):
        return f'{{{{ include "toque.name" $ }}}}{part.after}'  # which no number looks like
    return f"{{{{ {_hole(part)} }}}}"


def _text(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text)
    if is_plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)


def _condition(condition: Condition) -> str:
    match condition:
        case Has(path):
            return f"$.Values.{path}"
        case Is(path, text):
            return f"eq $.Values.{path} {json.dumps(text)}"
        case Since(minor):
            return f'semverCompare ">=1.{minor}.0-0" $.Capabilities.KubeVersion.Version'
        case Both(one, other):
            return f"and ({_condition(one)}) ({_condition(other)})"
        case Not(inner):
            return f"not ({_condition(inner)})"
    assert_never(condition)


def _hole(hole: Hole) -> str:
    match hole:
        case Name(before, after):
            return f'printf "{_quoted(before)}%s{_quoted(after)}" (include "toque.name" $) | toJson'
        case Namespace():
            return "toJson $.Release.Namespace"
        case Api(now, _, before):
            return f'ternary "{now}" "{before}" ($.Capabilities.APIVersions.Has "{now}")'
        case Value() | Told() | Digest():
            return _of_value(hole)
        case Key() | Item() | TolerationItem():
            return _of_entry(hole)
    assert_never(hole)


def _of_entry(hole: Key | Item | TolerationItem) -> str:
    match hole:
        case Key():
            return "toJson $key"
        case Item():
            return "toJson $item"
        case TolerationItem():
            return 'include "toque.toleration" $item'
    assert_never(hole)


def _of_value(hole: Value | Told | Digest) -> str:
    match hole:
        case Value(path):
            return f"toJson $.Values.{path}"
        case Told(path, after):
            return f'printf "%v{after}" $.Values.{path} | toJson'
        case Digest(path):
            return f"$.Values.{path} | sha256sum | toJson"
    assert_never(hole)


def _quoted(text: str) -> str:
    """Return a text as it stands inside a text of Go."""
    return json.dumps(text)[1:-1]
