"""Manifests with holes: an object of Kubernetes in which some places are filled by values, now or by Helm.

Law: a tree says what an object looks like once; `fill.py` puts values into it, `template.py` writes it for Helm to do the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Value:
    """The value at a path, such as `gateway.pods`."""

    path: str


@dataclass(frozen=True, slots=True)
class Name:
    """The release's name between two texts."""

    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Namespace:
    """The release's namespace."""


@dataclass(frozen=True, slots=True)
class Told:
    """The value at a path as a text, with another one behind it: `15s`."""

    path: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 of the text at a path: whatever says it is another one when the text is."""

    path: str


@dataclass(frozen=True, slots=True)
class Api:
    """An API version, which Kubernetes 1.`since` brought, and what it was called before."""

    now: str
    since: int
    before: str


@dataclass(frozen=True, slots=True)
class Key:
    """Inside `Each`: the name of an entry."""


@dataclass(frozen=True, slots=True)
class Item:
    """Inside `Each`: the entry itself."""


@dataclass(frozen=True, slots=True)
class TolerationItem:
    """Inside `Each`: the entry, a taint as kubectl writes it, as Kubernetes has it."""


Hole: TypeAlias = Value | Name | Namespace | Told | Digest | Api | Key | Item | TolerationItem


@dataclass(frozen=True, slots=True)
class Has:
    """Whether there is something at a path: no empty text, list or table, no 0 and no `false`."""

    path: str


@dataclass(frozen=True, slots=True)
class Is:
    """Whether the text at a path is this one."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Since:
    """Whether the cluster is Kubernetes 1.`minor` or later."""

    minor: int


@dataclass(frozen=True, slots=True)
class Both:
    """Whether both hold."""

    one: "Condition"
    other: "Condition"


@dataclass(frozen=True, slots=True)
class Not:
    """Whether something does not hold."""

    condition: "Condition"


Condition: TypeAlias = Has | Is | Since | Both | Not


@dataclass(frozen=True, slots=True)
class When:
    """A part that is there where a condition holds; where it does not, `otherwise`, or nothing at all."""

    condition: Condition
    then: "Tree"
    otherwise: "Tree | None" = None


@dataclass(frozen=True, slots=True)
class Each:
    """In a list, or among objects: a part for each entry of the list or table at a path."""

    path: str
    part: "Tree"


@dataclass(frozen=True, slots=True)
class Joined:
    """A table of these entries and of those in the table at a path."""

    entries: "Mapping[str, Tree]"
    path: str


Tree: TypeAlias = "str | int | float | bool | Hole | When | Each | Joined | Mapping[str, Tree] | Sequence[Tree]"
"""An object or a part of one. `When` may stand for any value or entry of a list, `Each` for entries of a list."""


def absent(value: object) -> bool:
    """Whether `Has` takes a value for nothing."""
    return value is None or value in ("", 0, [], {}, ())
