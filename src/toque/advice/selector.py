"""Label selectors as an HPA writes them, as far as they can choose pools: `pool=chat`, `pool in (chat, code)`.

Law: what is not understood is refused by name, never passed over: a selector that means less than it says scales by the
sum of other people's pools.
"""

import re

_TERM = re.compile(
    r"(?P<label>[^\s=!,()]+)\s*(?:==?\s*(?P<value>[^\s,()]*)|\s+in\s*\((?P<values>[^()]*)\))(?:\s*,\s*|\s*$)"
)
LABEL = "pool"


def chosen(selector: str) -> frozenset[str] | None:
    """Return the pools that a selector names; None where it names none and so means all. Raises `ValueError`."""
    named: frozenset[str] | None = None
    at, text = 0, selector.strip()
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None or term["label"] != LABEL:
            raise ValueError(f"{selector!r} cannot be asked for. Write {LABEL}=NAME or {LABEL} in (NAME, NAME).")
        one_of = term["value"] if term["values"] is None else term["values"]
        values = frozenset(value.strip() for value in one_of.split(","))
        named = values if named is None else named & values
        at = term.end()
    return named


def label_of(pool: str) -> str:
    """Write a pool's name as a label's value, which knows no slash: `org/chat` becomes `org-chat`."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", pool)[:63].strip("-._")
