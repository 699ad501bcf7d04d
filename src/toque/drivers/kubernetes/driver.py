"""The driver for replicas that are Pods: a Deployment for each version of a model, and each replica of the core a Pod of it.

Law: what is known of a Pod is what a watch said. No replica is judged for the API server's absence: those that are known serve
on. A Pod is one replica's at a time; a replica that is not ready yet may get another one.
"""

import asyncio
from typing import TypeAlias

from toque.drivers.kubernetes.contact import answers, reach
from toque.drivers.kubernetes.errands import Errands
from toque.drivers.kubernetes.estate import Estate
from toque.drivers.kubernetes.farewell import Farewell
from toque.drivers.kubernetes.keeper import Keeper
from toque.drivers.kubernetes.order import LOADED, PULLED, READY, SCHEDULED, STARTED, Order
from toque.drivers.kubernetes.sight import Sight
from toque.drivers.site import Site
from toque.kube.manifests import version_of
from toque.model.agent_spec import ModelSpec
from toque.model.cluster import ReplicaDelayed
from toque.model.condition import FailureCause
from toque.model.endpoint import Endpoint
from toque.model.messages import Event, ReplicaFailed, ReplicaHealthy, ReplicaReady, ReplicaStopped
from toque.ports import ReplicaStatus

_Reason: TypeAlias = tuple[FailureCause, str]
TAKEN_AWAY: _Reason = (FailureCause.REMOVED, "Kubernetes took its Pod away")
SILENT: _Reason = (FailureCause.UNHEALTHY, "did not answer its health probes")


class KubernetesDriver:
    """See `ports.Driver`. Opening it begins to follow the cluster; Pods that a predecessor left are taken over."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._errands = Errands()
        self._orders: dict[int, Order] = {}
        self._owners: dict[str, Order] = {}
        """Whose a Pod is, by its name."""
        self._farewells: dict[str, Farewell] = {}
        self._estate = Estate(site, self._errands, self)

    # ---- orders

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Begin to start a replica; one whose Pod is there already is ready as soon as it answers."""
        site = self._site
        version = version_of(model, site.settings(model), site.kubernetes.fleet, site.owner(model))
        former = self._estate.former(version)
        order = Order(replica_id, former or version, self._loop.time(), site.report, is_former=former is not None)
        self._orders[replica_id] = order
        self._time(order)
        self._estate.protection.keep(version)
        keeper = self._estate.keeper_for(order.version)
        keeper.enter(order)
        self.supply(keeper)

    def stop(self, replica_id: int) -> None:
        """Begin to end a replica; one that is gone already has been reported so."""
        if order := self._orders.get(replica_id):
            self._part(order, ReplicaStopped(replica_id))

    def probe(self, replica_id: int) -> None:
        """Find out now whether the replica answers. Before it is ready, what is reported anyway is the answer."""
        order = self._orders.get(replica_id)
        if order is not None and order.is_ready and not order.is_probed:
            order.is_probed = True
            self._errands.begin(self._ask(order))

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached; None before it is ready and after it is gone."""
        order = self._orders.get(replica_id)
        return order.endpoint if order else None

    def is_ours(self, replica_id: int) -> bool:
        """Whether the Pod behind the endpoint is still the replica's own, as far as the cluster has said."""
        order = self._orders.get(replica_id)
        return order is not None and self._owners.get(order.pod) is order

    def status(self, replica_id: int) -> ReplicaStatus:
        """What is known for display."""
        order = self._orders.get(replica_id)
        return order.status() if order else ReplicaStatus()

    async def close(self) -> None:
        """End every replica and wait until nothing is left; with `[kubernetes] keep` leave them to the next one."""
        for order in list(self._orders.values()):
            self._forget(order)
        await self._errands.close()
        await self._estate.close()

    # ---- what the cluster says

    def has(self, pod: str) -> bool:
        """Whether a Pod is somebody's, or was and is being seen off."""
        return pod in self._owners or pod in self._farewells

    def pod_seen(self, sight: Sight, keeper: Keeper | None) -> None:
        """A Pod came or changed."""
        order = self._owners.get(sight.name)
        if farewell := self._farewells.get(sight.name):
            farewell.news()
        elif sight.is_leaving:
            self.pod_gone(sight.name, keeper)
        elif order is not None:
            self._follow(order, sight)
        elif keeper is not None:
            keeper.unbound.add(sight.name)
            self.supply(keeper)

    def pod_gone(self, name: str, keeper: Keeper | None) -> None:
        """A Pod is going, or gone, without a word from us: whoever was ready has failed, others get the next one."""
        if keeper is not None:
            keeper.unbound.discard(name)
        if farewell := self._farewells.get(name):
            farewell.news()
        order = self._owners.pop(name, None)
        if order is None:
            return
        if order.is_ready:
            self._fail(order, TAKEN_AWAY)
        elif keeper is not None:
            order.unbind()
            keeper.waiting[order.id] = order
            self.supply(keeper)

    def supply(self, keeper: Keeper) -> None:
        """Give Pods that are nobody's to those who wait for one, those first that are furthest."""
        if not keeper.waiting or not keeper.unbound:
            return
        free = [self._estate.sights[name] for name in keeper.unbound]
        free.sort(key=lambda sight: (sight.failure is not None, not sight.is_loaded, not sight.is_started, sight.name))
        for sight, order in list(zip(free, keeper.waiting.values(), strict=False)):
            keeper.unbound.discard(sight.name)
            del keeper.waiting[order.id]
            order.pod = sight.name
            self._owners[sight.name] = order
            self._follow(order, sight)

    def refused(self, keeper: Keeper, reason: str) -> None:
        """The API server will have none of a version: nothing of it can start."""
        for order in [order for order in keeper.orders.values() if not order.is_ready]:
            self._fail(order, (FailureCause.INVALID_MODEL, reason))

    def turned(self, reason: str) -> None:
        """Starts wait while we do not see the cluster, and have their whole time again when we do."""
        for order in [order for order in self._orders.values() if not order.is_ready]:
            self._time(order)

    def inherited(self) -> None:
        """Orders from before we looked get Pods of other versions that are there, where there are none of their own."""
        for order in [order for order in self._orders.values() if not order.pod]:
            former = self._estate.former(order.version)
            if former is not None:
                self._estate.keeper_for(order.version).strike(order)
                order.version, order.is_former = former, True
                keeper = self._estate.keeper_for(former)
                keeper.enter(order)
                self.supply(keeper)

    def hindered(self, keeper: Keeper, reason: str) -> None:
        """Kubernetes makes no more Pods of a version, for this reason; empty: it does again."""
        for order in keeper.waiting.values():
            order.wait_for(ReplicaDelayed(order.id, FailureCause.QUOTA, reason) if reason else None)

    # ---- the way of one replica

    def _follow(self, order: Order, sight: Sight) -> None:
        """Take what a replica's Pod shows: 1. it failed; 2. it listens for the first time; 3. it does so no more."""
        if sight.failure is not None:  # 1
            self._fail(order, sight.failure)
            return
        order.see(sight, self._loop.time())
        if sight.is_loaded and order.contact is None:  # 2
            order.contact = self._errands.begin(self._meet(order, sight))
        elif not sight.is_loaded and order.is_ready:  # 3
            self.probe(order.id)

    async def _meet(self, order: Order, sight: Sight) -> None:
        """Wait until it answers us, and serve; others may see that by its Pod's readiness."""
        keeper = self._estate.keeper_for(order.version)
        key = await asyncio.shield(keeper.key)
        endpoint = Endpoint(sight.address, order.version.model.pod.port, key=key)
        await reach(endpoint, lambda: self._owners.get(sight.name) is order)
        order.endpoint = endpoint
        order.reach(READY, self._loop.time())
        order.settle()
        self._site.report(ReplicaReady(order.id))
        if order.is_former:
            self._renew_when_taken_over(order.version.model.pool.name)
        await self._estate.insist(lambda: self._estate.cluster.show(sight.name, is_serving=True))
        if order.phases[STARTED] > order.phases[SCHEDULED]:  # we saw it start, and its image come perhaps
            order.phases[PULLED] = order.phases[SCHEDULED] + await self._estate.pull_s(sight.name)

    def _renew_when_taken_over(self, pool: str) -> None:
        """Replicas of another version serve; when all of them do, they are replaced as after any change of their model."""
        formers = [
            order for order in self._orders.values() if order.is_former and order.version.model.pool.name == pool
        ]
        if formers and all(order.is_ready for order in formers):
            for order in formers:
                order.is_former = False
            self._estate.renewed(pool)

    async def _ask(self, order: Order) -> None:
        assert order.endpoint is not None
        is_well = await answers(order.endpoint, lambda: self.is_ours(order.id))
        order.is_probed = False
        if order.id not in self._orders:
            return
        if is_well:
            self._site.report(ReplicaHealthy(order.id))
        else:
            self._fail(order, SILENT)

    def _time(self, order: Order) -> None:
        """Give a start its time, from now on; while we do not see the cluster, it waits for that."""
        order.settle()
        trouble = self._estate.trouble
        order.wait_for(ReplicaDelayed(order.id, FailureCause.START_TIMEOUT, trouble) if trouble else None)
        timeout_s = order.version.model.pool.replicas.startup_timeout_s
        order.timer = self._loop.call_later(timeout_s, self._expire, order)

    def _expire(self, order: Order) -> None:
        """It had its time. While the cluster does not say what became of it, it is not judged."""
        if self._estate.freshness.reason:
            self._time(order)
            return
        timeout_s = order.version.model.pool.replicas.startup_timeout_s
        cause, why = FailureCause.START_TIMEOUT, ""
        if order.delayed is not None:
            cause, why = order.delayed.cause, f": {order.delayed.reason}"
        elif LOADED in order.phases:
            why = ": its Pod is ready, but does not answer us (is its network reached from here?)"
        self._fail(order, (cause, f"was not ready within {timeout_s:g} s{why}"))

    def _fail(self, order: Order, reason: _Reason) -> None:
        """Tell that a replica is no more, and have nothing be left of it."""
        self._part(order, None)
        self._site.report(ReplicaFailed(order.id, *reason))

    def _part(self, order: Order, last: Event | None) -> None:
        """Let a replica go, with its Pod if it has one, and tell `last` when that is done."""
        pod, keeper = order.pod, self._estate.keeper_for(order.version)
        self._forget(order)
        sight = self._estate.sights.get(pod)
        if sight is not None and not sight.is_leaving:
            farewell = Farewell(pod, keeper, self._estate)
            self._farewells[pod] = farewell
            self._errands.begin(self._see_off(pod, farewell, last))
        elif last is not None:
            self._site.report(last)
        keeper.touch()
        if order.is_former:
            self._renew_when_taken_over(order.version.model.pool.name)

    async def _see_off(self, pod: str, farewell: Farewell, last: Event | None) -> None:
        await farewell.say()
        del self._farewells[pod]
        if last is not None:
            self._site.report(last)

    def _forget(self, order: Order) -> None:
        self._orders.pop(order.id, None)
        self._owners.pop(order.pod, None)
        order.settle()
        order.unbind()
        self._estate.keeper_for(order.version).strike(order)
