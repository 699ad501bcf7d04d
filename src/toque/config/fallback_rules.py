"""Contradictions between fallbacks, and with what they need: keys that may leave, prices, a limit.

Law: a fallback that could never be taken is refused here, so that nobody finds out when it is needed.
"""

from collections.abc import Iterator, Mapping, Sequence

from toque.config.complaints import did_you_mean
from toque.config.contradiction import Contradiction
from toque.config.source import KeyPath
from toque.model.fallback_spec import MODELS_MAX
from toque.model.service_spec import ServiceSpec
from toque.model.spec import PoolSpec


def fallback_contradictions(spec: ServiceSpec) -> Iterator[Contradiction]:
    """Yield what is wrong with the fallbacks of every model, then with all of them together."""
    pools = {model.pool.name: model.pool for model in spec.models}
    for pool in pools.values():
        yield from _names(pool, pools)
    for pool in pools.values():
        for name in pool.fallback.to:
            yield from _use(pool, pools[name], spec)
        yield from _canary(pool, pools)
    yield from _loops(pools)


def _canary(pool: PoolSpec, pools: Mapping[str, PoolSpec]) -> Iterator[Contradiction]:
    """Say why a model could never be tried with another's requests."""
    here, name = ("models", pool.name, "canary", "model"), pool.canary.model
    other = pools.get(name)
    if not name:
        return
    if name == pool.name:
        yield Contradiction(here, f"{name} cannot be its own canary.", "Name another model of these settings.")
    elif other is None:
        yield Contradiction(here, f"There is no model {name!r}.", did_you_mean(name, list(pools)))
    elif other.hosted and not pool.hosted:
        yield Contradiction(
            here,
            f"{name} is on another machine, and requests for {pool.name} stay on this one.",
            "Let both run in the same place.",
        )
    elif not other.replicas.minimum_warm and other.elastic:
        yield Contradiction(
            here,
            f"{name} may have no replica, and a canary that is not ready is never asked.",
            f"Write replicas = {{ minimum_warm = 1 }} for {name}.",
        )


def _names(pool: PoolSpec, pools: Mapping[str, PoolSpec]) -> Iterator[Contradiction]:
    here, names = _place(pool), pool.fallback.to
    if len(names) > MODELS_MAX:
        yield Contradiction(
            here, f"{len(names)} fallbacks are too many.", f"Name {MODELS_MAX} at most: the first serve."
        )
    for name in names:
        if name not in pools:
            yield Contradiction(here, f"There is no model {name!r}.", did_you_mean(name, list(pools)))
        if name == pool.name:
            yield Contradiction(here, f"{name} cannot be its own fallback.", "Leave it out.")
        if names.count(name) > 1:
            yield Contradiction(here, f"{name} is named twice.", "A fallback is tried once: name it once.")


def _use(pool: PoolSpec, other: PoolSpec, spec: ServiceSpec) -> Iterator[Contradiction]:
    """Say why one model could never answer instead of another."""
    here = _place(pool)
    if other.hosted and pool.local_only:
        yield Contradiction(
            here,
            f"{pool.name} is local-only, and {other.name} is on another machine.",
            f"Leave {other.name} out, or write local_only = false.",
        )
    elif other.hosted and not _anybody_may_leave(spec):
        yield Contradiction(
            here,
            f"{other.name} is on another machine, and nobody's requests may leave this one.",
            "Write may_leave = true for the keys whose requests may."
            if spec.keys
            else "Write keyless_may_leave = true at the top, if they may.",
        )
    if (other.price.input or other.price.output) and not spec.spending.limit_per_hour:
        yield Contradiction(
            here,
            f"{other.name} has a price, and nothing may be spent on fallbacks.",
            "Say how much in an hour: [spending] limit_per_hour = 1.0 (in the unit of the prices).",
        )


def _anybody_may_leave(spec: ServiceSpec) -> bool:
    return any(key.may_leave for key in spec.keys) if spec.keys else spec.keyless_may_leave


def _loops(pools: Mapping[str, PoolSpec]) -> Iterator[Contradiction]:
    for name in pools:
        way = _way_back(name, pools)
        if way:
            yield Contradiction(
                _place(pools[name]),
                f"These models fall back to each other: {' -> '.join(way)}. The overload of one would be that of all.",
                "Take one of them out of another's list, so that every way ends.",
            )


def _way_back(start: str, pools: Mapping[str, PoolSpec]) -> Sequence[str]:
    """Return the shortest way from a model over fallbacks back to itself; nothing where there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:  # it grows as it is read: breadth first
        for name in pools[way[-1]].fallback.to:
            if name == start:
                return (*way, start)
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()


def _place(pool: PoolSpec) -> KeyPath:
    return "models", pool.name, "fallback", "to"
