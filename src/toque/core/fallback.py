"""Fallback and spill-over: which other pool takes a ticket that its own refuses, or makes wait too long.

Law: a ticket moves only along its own list, forwards, so that it moves a bounded number of times; the pool it moves to must be
able to take it, be soon enough where impatience is the cause, and be affordable. No list leads to another machine for a
request that may not leave this one, or for a model that is local-only.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import TypeAlias

from toque.core.appeal import Appeal, Appeals
from toque.core.journey import Journey
from toque.core.pool import Pool
from toque.model.messages import Divert, Effect
from toque.model.spec import PoolSpec
from toque.model.ticket import Ticket

Enter: TypeAlias = Callable[[Pool, Ticket, float, list[Effect]], None]
"""Lets a ticket arrive at a pool."""
_NOWHERE: tuple[str, ...] = ()


class WaysOut:
    """The fallbacks of every model, for requests that may leave this machine and for those that may not."""

    def __init__(self, pools: Iterable[PoolSpec] = ()) -> None:
        known = {pool.name: pool for pool in pools}
        self._ways: Mapping[bool, Mapping[str, tuple[str, ...]]] = MappingProxyType(
            {
                may_leave: {pool.name: _ways_out(pool, known, may_leave=may_leave) for pool in known.values()}
                for may_leave in (False, True)
            }
        )
        self.models = frozenset(pool.name for pool in known.values() if pool.fallback.to or pool.canary.model)
        """Models whose requests another may answer."""

    def of(self, model: str, *, may_leave: bool) -> tuple[str, ...]:
        """Return the fallbacks of a model in order."""
        return self._ways[may_leave].get(model, _NOWHERE)


def _ways_out(pool: PoolSpec, known: Mapping[str, PoolSpec], *, may_leave: bool) -> tuple[str, ...]:
    stays = not may_leave or pool.local_only
    return tuple(name for name in pool.fallback.to if name in known and not (stays and known[name].hosted))


class Fallback:
    """Hears the appeals of all pools; `doors` are those that take requests."""

    def __init__(
        self,
        journeys: Mapping[int, Journey],
        pools: Mapping[str, Pool],
        doors: Mapping[str, Pool],
        appeals: Appeals,
        enter: Enter,
    ) -> None:
        self._journeys = journeys
        self._pools = pools
        self._doors = doors
        self._appeals = appeals
        self._enter = enter

    def hear(self, now: float, out: list[Effect]) -> None:
        """Move those that another pool takes; refuse the others, or let them wait on. A move may lead to a new appeal."""
        pending = self._appeals.pending
        while pending:
            appeal = pending.popleft()
            journey = self._journeys.get(appeal.ticket.id)
            if appeal.refusal is None and (journey is None or journey.replica_id is not None):
                continue  # it got its slot meanwhile, or ended
            pool, told = self._choose(appeal, now)
            if pool is not None:
                if journey is not None:
                    self._pools[appeal.ticket.pool].release(journey, now, out)
                self._move(appeal, pool, now, out)
            elif appeal.refusal is not None:
                out.append(replace(appeal.refusal, fallback=told))

    def _choose(self, appeal: Appeal, now: float) -> tuple[Pool | None, str]:
        """Return the first pool of a ticket's list that takes it, or why none does."""
        told: list[str] = []
        for name in appeal.ticket.fallbacks:
            pool = self._doors.get(name)
            obstacle = "is not here any more" if pool is None else self._obstacle(appeal, pool, now)
            if pool is not None and not obstacle:
                return pool, ""
            told.append(f"{name} {obstacle}")
        return None, "; ".join(told)

    def _obstacle(self, appeal: Appeal, pool: Pool, now: float) -> str:
        """Say why a pool does not take a ticket; empty when it does.

        1. It would refuse it. 2. It is no sooner than the class is patient. 3. It costs more than is left to spend.
        """
        wait_s = pool.exits.outlook.prospect_s(appeal.ticket.service_class, now)
        if wait_s == inf:  # 1
            return "takes nothing now"
        if wait_s > appeal.wait_s_max:  # 2
            return f"would make it wait {wait_s:.1f} s too"
        if not self._appeals.spending.affords(pool.spec, now):  # 3
            return f"would exceed the spending limit of {self._appeals.spending.limit:g} an hour"
        return ""

    def _move(self, appeal: Appeal, pool: Pool, now: float, out: list[Effect]) -> None:
        ticket, name = appeal.ticket, pool.spec.name
        left = ticket.fallbacks[ticket.fallbacks.index(name) + 1 :]
        out.append(Divert(ticket.id, name, appeal.cause, appeal.reason))
        self._appeals.spending.release(ticket.id)
        self._appeals.spending.reserve(ticket.id, pool.spec)
        self._enter(pool, replace(ticket, pool=name, fallbacks=left), now, out)
