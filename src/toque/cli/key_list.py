"""The keys as people and programs see them: what each may do, until when, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from toque.config.moment import tell_moment
from toque.model.service_spec import KeySpec, ServiceSpec

_Shown: TypeAlias = Mapping[str, Any]
_TITLES = ("KEY", "CLASS", "PRIORITY", "SHARE", "MODELS", "LIMITS", "EXPIRES", "STANDS IN")


def list_keys(spec: ServiceSpec) -> list[_Shown]:
    """Return every key without its digests. A limit that is none is left out; a moment that never comes is None."""
    return [_shown(key, spec.origins[f"keys.{key.name}.sha256"]) for key in spec.keys]


def key_rows(keys: Sequence[_Shown], now: float) -> list[Sequence[str]]:
    """Return a table of them, with its titles; nothing for no keys."""
    return [_TITLES, *(_row(key, now) for key in keys)] if keys else []


def _shown(key: KeySpec, origin: str) -> _Shown:
    return {
        "name": key.name,
        "service_class": key.service_class,
        "priority": key.priority,
        "priority_best": min(key.priority, key.priority_best),
        "share": key.share,
        "models": sorted(key.models),
        "may_leave": key.may_leave,
        "limits": {name: limit for name, limit in asdict(key.limits).items() if limit},
        "expires_at": tell_moment(key.expires_at) if key.expires_at else None,
        "former_until": tell_moment(key.former_until) if key.former_sha256 else None,
        "origin": origin,
    }


def _row(key: _Shown, now: float) -> Sequence[str]:
    best = key["priority_best"]
    return (
        key["name"],
        key["service_class"],
        str(key["priority"]) if best == key["priority"] else f"{key['priority']} (best {best})",
        f"{key['share']:g}",
        ", ".join(key["models"]) or "all",
        ", ".join(f"{name}={limit}" for name, limit in key["limits"].items()) or "-",
        _expiry(key, tell_moment(now)),
        key["origin"],
    )


def _expiry(key: _Shown, now: str) -> str:
    """Say when it expires, and until when the key before it is accepted; moments in one form compare as texts."""
    expires, former = key["expires_at"], key["former_until"]
    told = "never" if expires is None else expires if now < expires else f"{expires} (expired)"
    return f"{told}; former key until {former}" if former is not None and now < former else told
