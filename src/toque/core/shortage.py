"""Shortage: which pools lack room, and how they come by it.

Law: who lacks room longest is helped first, and whatever may have given room back is offered to all of them in that order.
"""

from collections.abc import Callable, Mapping

from toque.core.budget import Budget
from toque.core.pool import Pool
from toque.core.swap import give_up, is_hopeless, room_makers
from toque.model.messages import Effect
from toque.model.ticket import RefusalReason


class Shortage:
    """That of a fleet. `note` is told of every pool that was changed; it enters those that lack room in `short`."""

    __slots__ = ("_budget", "_note", "_pools", "short")

    def __init__(self, pools: Mapping[str, Pool], budget: Budget, note: Callable[[Pool], None]) -> None:
        self._pools = pools
        self._budget = budget
        self._note = note
        self.short: dict[str, None] = {}

    def relieve(self, now: float, out: list[Effect]) -> None:
        """Stop what others can miss for those who lack room, longest first."""
        for name in list(self.short):
            needy = self._pools[name]
            if not needy.supply.shortage:
                del self.short[name]
                continue
            for pool, replica in room_makers(needy, self._pools.values(), self._budget, now):
                give_up(pool, replica, f"{name} needs the room", now, out)
                self._note(pool)
            if needy.line and not needy.supply.roster.live and is_hopeless(needy, self._pools.values(), self._budget):
                needy.refuse_all(RefusalReason.NO_CAPACITY, now, out)

    def offer(self, now: float, out: list[Effect]) -> None:
        """Something may have been given back: let those who lack room try again, longest first."""
        for name in list(self.short):
            pool = self._pools[name]
            pool.restock(now, out)
            self._note(pool)
            self.relieve(now, out)
