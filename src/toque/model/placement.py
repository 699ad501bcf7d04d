"""Where Pods may run, as short texts: taints that are put up with, what a machine must be, how replicas spread.

Law: the texts are kubectl's own, as it takes and prints them; what is none is refused with what was wrong about it.
"""

import re
from dataclasses import dataclass

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
SPREAD_RULES = ("DoNotSchedule", "ScheduleAnyway")
_KEY = r"(?P<key>[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?)"
_VALUE = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_PRESENT = re.compile(rf"(?P<absent>!)?\s*{_KEY}", re.ASCII)
_COMPARED = re.compile(rf"{_KEY}\s*(?P<sign>==|=|!=|>|<)\s*(?P<value>{_VALUE})", re.ASCII)
_AMONG = re.compile(rf"{_KEY}\s+(?P<sign>in|notin)\s*\(\s*(?P<values>{_VALUE}(\s*,\s*{_VALUE})*)\s*\)", re.ASCII)
_SPREAD = re.compile(rf"{_KEY}(=(?P<skew>[1-9][0-9]{{0,3}}))?(:(?P<rule>\w+))?", re.ASCII)
_OPERATORS = {"=": "In", "==": "In", "in": "In", "!=": "NotIn", "notin": "NotIn", ">": "Gt", "<": "Lt"}


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that is put up with. Empty texts stand for any value, any effect."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a label of a machine must be; `operator` is Kubernetes' word for it (`In`, `Exists`, `Gt`...)."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly replicas lie over the machines that share a label's value: by how many they may differ, and how strictly."""

    key: str
    skew: int
    rule: str


def read_toleration(text: str) -> Toleration:
    """Read `KEY[=VALUE][:EFFECT]`. Raises `ValueError` for what is no taint."""
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    if not key or any(map(str.isspace, text)):
        raise ValueError(f"{text!r} is no taint")
    if effect and effect not in TAINT_EFFECTS:
        raise ValueError(f"{effect!r} is no effect of a taint: {', '.join(TAINT_EFFECTS)}")
    return Toleration(key, value, effect)


def read_requirement(text: str) -> Requirement:
    """Read `KEY`, `!KEY`, `KEY=VALUE`, `KEY!=VALUE`, `KEY in (A, B)`, `KEY notin (A, B)`, `KEY>N` or `KEY<N`.

    Raises `ValueError` for what is none of these.
    """
    text = text.strip()
    if found := _PRESENT.fullmatch(text):
        return Requirement(found["key"], "DoesNotExist" if found["absent"] else "Exists")
    if found := _AMONG.fullmatch(text):
        values = tuple(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], _OPERATORS[found["sign"]], values)
    found = _COMPARED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} says nothing of a label")
    if found["sign"] in "<>" and not found["value"].isdecimal():
        raise ValueError(f"{text!r} compares with what is no whole number")
    return Requirement(found["key"], _OPERATORS[found["sign"]], (found["value"],))


def read_spread(text: str) -> Spread:
    """Read `KEY[=SKEW][:RULE]`: a skew of 1 where none is said, and `ScheduleAnyway`. Raises `ValueError`."""
    found = _SPREAD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no label to spread over")
    rule = found["rule"] or SPREAD_RULES[1]
    if rule not in SPREAD_RULES:
        raise ValueError(f"{rule!r} is no rule of spreading: {', '.join(SPREAD_RULES)}")
    return Spread(found["key"], int(found["skew"] or 1), rule)
