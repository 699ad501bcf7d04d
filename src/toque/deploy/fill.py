"""Puts values into trees: what `toque deploy render` prints.

Law: what is filled here is what Helm makes of the same tree with the same values; a test holds them together.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, assert_never, cast

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
    absent,
)
from toque.kube.placement import toleration

MINOR_USUAL = 35
"""What manifests are written for where nobody says another: Kubernetes 1.35."""
Values: TypeAlias = Mapping[str, Any]
"""Values as a chart has them: tables in tables, by camelCase names."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a deployment is called, where it is, and its values. The cluster is Kubernetes 1.`minor`."""

    name: str
    namespace: str
    values: Values
    minor: int = MINOR_USUAL
    key: str = ""
    item: object = None

    def at(self, path: str) -> Any:
        """Return the value at a path."""
        here: Any = self.values
        for name in path.split("."):
            here = here[name]
        return here


def filled(tree: Tree, release: Release) -> Any:
    """Return a tree, which is no `When` or `Each`, with every hole filled."""
    if isinstance(tree, str | int | float | bool):
        return tree
    if isinstance(tree, Mapping):
        return {name: value for name, part in tree.items() for value in parts(part, release)}
    if isinstance(tree, Joined):
        return {**filled(tree.entries, release), **dict(sorted(release.at(tree.path).items()))}
    if isinstance(tree, list | tuple):
        return [value for part in tree for value in parts(part, release)]
    return _hole(cast(Hole, tree), release)


def parts(tree: Tree, release: Release) -> Iterator[Any]:
    """Yield what becomes of a tree: nothing, one thing, or one for each entry."""
    if isinstance(tree, When):
        chosen = tree.then if holds(tree.condition, release) else tree.otherwise
        if chosen is not None:
            yield from parts(chosen, release)
    elif isinstance(tree, Each):
        entries = release.at(tree.path)
        pairs = sorted(entries.items()) if isinstance(entries, Mapping) else enumerate(entries)
        for key, item in pairs:
            yield filled(tree.part, replace(release, key=str(key), item=item))
    else:
        yield filled(tree, release)


def holds(condition: Condition, release: Release) -> bool:
    """Whether a condition holds."""
    match condition:
        case Has(path):
            return not absent(release.at(path))
        case Is(path, text):
            return bool(release.at(path) == text)
        case Since(minor):
            return release.minor >= minor
        case Both(one, other):
            return holds(one, release) and holds(other, release)
        case Not(inner):
            return not holds(inner, release)
    assert_never(condition)


def _hole(hole: Hole, release: Release) -> Any:
    match hole:
        case Name(before, after):
            return f"{before}{release.name}{after}"
        case Namespace():
            return release.namespace
        case Api(now, since, before):
            return now if release.minor >= since else before
        case Value() | Told() | Digest():
            return _of_value(hole, release.at(hole.path))
        case Key() | Item() | TolerationItem():
            return _of_entry(hole, release)
    assert_never(hole)


def _of_entry(hole: Key | Item | TolerationItem, release: Release) -> Any:
    match hole:
        case Key():
            return release.key
        case Item():
            return release.item
        case TolerationItem():
            return toleration(str(release.item))
    assert_never(hole)


def _of_value(hole: Value | Told | Digest, value: Any) -> Any:
    match hole:
        case Value():
            return value
        case Told(_, after):
            return f"{value}{after}"
        case Digest():
            return hashlib.sha256(value.encode()).hexdigest()
    assert_never(hole)
