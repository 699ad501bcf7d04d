"""Lending: all pools of a controller, whose slots gateways fill.

Law: nothing is lent before it is known what every gateway holds that may live, and nothing is scaled by a load that is not
known yet. What is here is lent at once; how slots are divided anew is thought about in turns, a pool at a time.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import assert_never

from toque.core.lender import Lender
from toque.core.pool import Pool
from toque.model.cluster import (
    FromGateways,
    GatewayDied,
    GatewayJoined,
    GatewayLost,
    HoldingsKnown,
    LoadReported,
    ReplicaClaimed,
    SlotsReturned,
)
from toque.model.messages import Effect


class Lending:
    """Of one fleet. `dirty` are pools of which something is to be told or divided; `changed` hears of pools that start or stop."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        owners: Mapping[int, Pool],
        changed: Callable[[Pool, float, list[Effect]], None],
        wake_by: Callable[[float], None],
    ) -> None:
        self._pools = pools
        self._owners = owners
        self._changed = changed
        self._wake_by = wake_by
        self.lenders: dict[str, Lender] = {}
        self.gateways: dict[str, bool] = {}
        """All that are not dead -> whether it is connected."""
        self.is_informed = False
        self.dirty: dict[str, None] = {}
        self._later: dict[str, None] = {}
        self._last_words: list[Effect] = []

    def open(self, pool: Pool) -> None:
        """Lend the slots of a pool, once it is known who holds what."""
        name = pool.spec.name
        lender = Lender(name, pool.scaler.elsewhere, lambda: self.dirty.__setitem__(name, None))
        self.lenders[name] = pool.supply.roster.lender = lender
        pool.supply.roster.is_blind = pool.scaler.is_blind = not self.is_informed
        for gateway, is_here in self.gateways.items():
            lender.join(gateway, ())
            if not is_here:
                lender.lose(gateway)

    def close(self, name: str) -> None:
        """A pool is gone; what is still to be told of it is told in this step."""
        if name in self.lenders:
            self.lenders.pop(name).announce(self._last_words)
            self._later.pop(name, None)
            self.dirty[name] = None

    def hear(self, event: FromGateways, now: float, out: list[Effect]) -> None:
        """Take what gateways say, and what is known of them."""
        match event:
            case LoadReported():
                self._report(event, now, out)
            case SlotsReturned() | ReplicaClaimed():
                self._count(event, now, out)
            case GatewayJoined(gateway, held):
                self._join(gateway, held, now, out)
            case GatewayLost(gateway):
                self._lose(gateway)
            case GatewayDied(gateway):
                self._bury(gateway, now, out)
            case HoldingsKnown():
                self._begin(now, out)
            case _:
                assert_never(event)

    def settle(self, now: float, out: list[Effect]) -> None:
        """Tell and lend what there is to tell and to lend; divide those pools whose turn it is."""
        out += self._last_words
        self._last_words.clear()
        for name in self.dirty:
            lender = self.lenders.get(name)
            if lender is None:
                continue
            lender.announce(out)
            if not self.is_informed:
                continue
            if lender.next_at <= now:
                lender.divide(now, out)
                self._later.pop(name, None)
            else:
                lender.lend(out)
                self._later[name] = None
                self._wake_by(lender.next_at)
        self.dirty.clear()

    def wake(self, now: float) -> None:
        """Let those pools be divided whose turn has come."""
        for name in self._later:
            if self.lenders[name].next_at <= now:
                self.dirty[name] = None

    def next_at(self) -> float:
        """When `wake` has something to do (inf: nothing waits for its turn)."""
        return min((self.lenders[name].next_at for name in self._later), default=inf)

    # ---- its own -----------------------------------------------------------------------------------------------------

    def _join(self, gateway: str, held: tuple[tuple[int, int], ...], now: float, out: list[Effect]) -> None:
        self.gateways[gateway] = True
        mine: dict[str, list[tuple[int, int]]] = {name: [] for name in self.lenders}
        for replica_id, count in held:
            if replica_id in self._owners:
                mine[self._owners[replica_id].spec.name].append((replica_id, count))
        for name, lender in self.lenders.items():
            lender.join(gateway, mine[name])
            self._stop_drained(self._pools[name], now, out)

    def _count(self, event: SlotsReturned | ReplicaClaimed, now: float, out: list[Effect]) -> None:
        """Take what is said of one replica's slots, unless it is gone."""
        pool = self._owners.get(event.replica_id)
        if pool is None:
            return
        lender = self.lenders[pool.spec.name]
        if isinstance(event, ReplicaClaimed):
            lender.claimed(event.replica_id, event.held)
        else:
            lender.returned(event.gateway, event.replica_id, event.count)
            self._stop_drained(pool, now, out)

    def _lose(self, gateway: str) -> None:
        if gateway in self.gateways:
            self.gateways[gateway] = False
            for lender in self.lenders.values():
                lender.lose(gateway)

    def _bury(self, gateway: str, now: float, out: list[Effect]) -> None:
        self.gateways.pop(gateway, None)
        for name, lender in self.lenders.items():
            lender.bury(gateway)
            pool = self._pools[name]
            pool.scaler.heard(0, now)
            self._stop_drained(pool, now, out)

    def _report(self, event: LoadReported, now: float, out: list[Effect]) -> None:
        """Learn the load of a gateway; a pool without replicas that is asked for gets one at once."""
        lender = self.lenders.get(event.pool)
        if lender is None or event.gateway not in self.gateways:
            return
        pool = self._pools[event.pool]
        lender.report(event.gateway, event.load, now)
        pool.scaler.heard(event.load.arrivals, now)
        if pool.scaler.elsewhere.waits and not pool.supply.roster.live:
            pool.restock(now, out)
            self._changed(pool, now, out)
        self._wake_by(pool.next_wake())

    def _stop_drained(self, pool: Pool, now: float, out: list[Effect]) -> None:
        for replica in list(pool.supply.roster.draining.values()):
            pool.supply.stop_if_drained(replica, now, out, "drained")

    def _begin(self, now: float, out: list[Effect]) -> None:
        """All is known: what drains and nobody holds may stop, the rest is lent, and the load says how many are needed."""
        self.is_informed = True
        for name, lender in self.lenders.items():
            pool = self._pools[name]
            pool.supply.roster.is_blind = pool.scaler.is_blind = False
            self._stop_drained(pool, now, out)
            lender.next_at = -inf
            self.dirty[name] = None
