"""Keeps one Deployment: as many Pods as replicas of its version are ordered, and those that are about to leave.

Law: it writes only what is not so already, one call at a time, so that a burst of orders is one call; and nothing while our
view of the cluster is stale. What an API server refuses for good fails the orders; everything else is told and tried again.
"""

import asyncio
from collections.abc import Callable

from toque.drivers.kubernetes.cluster import Cluster
from toque.drivers.kubernetes.freshness import Freshness
from toque.drivers.kubernetes.order import Order
from toque.kube.manifests import Version
from toque.kube.trouble import TROUBLE, Backoff, explain, is_gone, is_hopeless
from toque.model.agent_spec import Secret
from toque.model.cluster import ReplicaDelayed
from toque.model.condition import FailureCause

LINGER_S = 60.0
"""A Deployment that nobody orders from for so long is deleted; the next order makes it anew, with one more call."""


class Keeper:
    """`orders` are those it keeps Pods for. `refused` is called with the reason when the API server says no for good."""

    def __init__(
        self, cluster: Cluster, version: Version, freshness: Freshness, refused: Callable[["Keeper", str], None]
    ) -> None:
        self._cluster = cluster
        self._freshness = freshness
        self._refused = refused
        self._dirty = asyncio.Event()
        self._backoff = Backoff(asyncio.Event())
        self._is_in_trouble = False
        self.version = version
        self.orders: dict[int, Order] = {}
        self.waiting: dict[int, Order] = {}
        """Those of them that have no Pod, in the order in which they came."""
        self.unbound: set[str] = set()
        """Pods of its Deployment that are nobody's."""
        self.leaving = 0
        """Pods that are to go, and still count."""
        self.set_to: int | None = None
        """How many Pods its Deployment has been told to have, as far as known; None: there is no Deployment."""
        self.key: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        """What its replicas answer to, once it is known."""

    @property
    def wanted(self) -> int:
        """How many Pods its Deployment should have."""
        return len(self.orders) + self.leaving

    def enter(self, order: Order) -> None:
        """Take an order in."""
        self.orders[order.id] = self.waiting[order.id] = order
        self.touch()

    def strike(self, order: Order) -> None:
        """It is no order any more."""
        self.orders.pop(order.id, None)
        self.waiting.pop(order.id, None)
        self.touch()

    def touch(self) -> None:
        """Something is to be written, perhaps."""
        self._dirty.set()

    def found(self, replicas: int | None) -> None:
        """Learn what the Deployment is set to; whoever else set it, it is put right."""
        if replicas != self.set_to:
            self.set_to = replicas
            self.touch()

    async def run(self) -> None:
        """Keep it, until nobody has ordered from it for LINGER_S; then nothing of it is left."""
        while await self._is_needed():
            await self._freshness.wait()
            self._dirty.clear()
            try:
                await self._write()
            except TROUBLE as error:
                if is_hopeless(error):
                    self._refused(self, explain(error))
                    continue
                self._told(explain(error))
                self.touch()
                await self._backoff.pause(error)
            else:
                self._told("")
                self._backoff.reset()

    def _told(self, trouble: str) -> None:
        """Tell those who wait for a Pod that it cannot be asked for now, and why; empty: it can again."""
        if not trouble and not self._is_in_trouble:
            return
        self._is_in_trouble = bool(trouble)
        for order in self.waiting.values():
            order.wait_for(ReplicaDelayed(order.id, FailureCause.START_TIMEOUT, trouble) if trouble else None)

    async def _is_needed(self) -> bool:
        try:
            async with asyncio.timeout(None if self.wanted else LINGER_S):
                await self._dirty.wait()
        except TimeoutError:
            return bool(self.wanted)
        return True

    async def _write(self) -> None:
        """Bring the Deployment to what is wanted: its secret first, then itself, then its number."""
        if not self.key.done():
            self.key.set_result(await self._cluster.secret_of(self.version))
        wanted = self.wanted
        if self.set_to is None and wanted:
            await self._cluster.apply(self.version, wanted)
            self.set_to = wanted
        elif self.set_to not in (None, wanted):
            await self._scale(wanted)

    async def _scale(self, wanted: int) -> None:
        try:
            await self._cluster.scale(self.version.name, wanted)
        except TROUBLE as error:
            if not is_gone(error):
                raise
            self.set_to = None
            self.touch()
        else:
            self.set_to = wanted
