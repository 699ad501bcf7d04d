"""Rank: the class of a request, its priority inside the class, and the service tier that its answer names.

Law: first found wins: the body's `service_tier`, the Priority field (RFC 9218), the body's `priority` (as vLLM has it), the
key's default; and nothing a request says takes it above what its key may have (O07).
"""

import re
from dataclasses import dataclass

from toque.model.ticket import PRIORITY, PRIORITY_MAX, ServiceClass

FLEX = "flex"
HURRIED_TIERS = frozenset({"priority", "fast"})
_HURRIED = 1
"""What these tiers mean: sooner than all that say nothing; 0 is left to who asks for it by number."""

BATCH, INTERACTIVE = ServiceClass.BATCH, ServiceClass.INTERACTIVE  # found once: each request asks
_URGENCY = re.compile(rb"(?:^|[,\s])u=([0-7])(?=[,;\s]|$)")


@dataclass(frozen=True, slots=True)
class Rank:
    """Which class a request is of, and its priority there: 0 to 7, lower is sooner."""

    service_class: ServiceClass
    priority: int

    @property
    def tier(self) -> str:
        """The service tier that this is, as an answer names it."""
        if self.service_class is BATCH:
            return FLEX
        return "priority" if self.priority < PRIORITY else "default"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key's requests may have: `usual` is what they get without asking, `best` the best priority they may ask for."""

    usual: Rank
    best: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What a body asks for: its `service_tier` (empty: none) and its `priority`, where 0 is usual and lower is sooner."""

    tier: str
    priority: int | None

    @property
    def is_flex(self) -> bool:
        """Whether it wants spare capacity or nothing."""
        return self.tier == FLEX


def read_urgency(field: bytes | None) -> int | None:
    """Read `u=0` to `u=7` of a Priority field; None where there is none. What is malformed is ignored, as RFC 9218 wants."""
    found = _URGENCY.search(field) if field is not None else None
    return int(found[1]) if found else None


def find_rank(rights: Rights, wish: Wish | None, urgency: int | None) -> Rank:
    """Return the rank of a request.

    1. The body names a tier that says something (`auto` does not): `flex` is batch, `priority` is soon, all others are usual.
    2. The Priority field. 3. The body's `priority`. 4. Nothing was asked for.
    """
    usual = rights.usual
    if wish is not None and wish.tier not in {"", "auto"}:  # 1
        if wish.tier == FLEX:
            return Rank(BATCH, usual.priority)
        return _capped(_HURRIED if wish.tier in HURRIED_TIERS else PRIORITY, rights)
    if urgency is not None:  # 2
        return _capped(urgency, rights)
    if wish is not None and wish.priority is not None:  # 3
        return _capped(min(PRIORITY + wish.priority, PRIORITY_MAX), rights)
    return usual  # 4


def _capped(priority: int, rights: Rights) -> Rank:
    return Rank(rights.usual.service_class, max(priority, rights.best))
