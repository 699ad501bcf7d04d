"""What a fleet has in its cluster: Deployments and Pods, followed by watches, kept by keepers, swept of what nobody owns.

Law: nothing is changed while what we know is stale. What a predecessor left is told to the core before anything is removed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from toque.drivers.kubernetes.cluster import Cluster
from toque.drivers.kubernetes.errands import Errands
from toque.drivers.kubernetes.freshness import Freshness
from toque.drivers.kubernetes.inheritance import Inheritance
from toque.drivers.kubernetes.keeper import LINGER_S, Keeper
from toque.drivers.kubernetes.protection import Protection
from toque.drivers.kubernetes.sight import Sight, look_at, quota_of
from toque.drivers.site import Site
from toque.kube.connection import open_client
from toque.kube.manifests import MODEL_NOTE, Version
from toque.kube.trouble import TROUBLE, Backoff, is_hopeless
from toque.kube.watch import Watch
from toque.kube.words import fleet_labels
from toque.model.cluster import ReplicasAdopted, ScalingFrozen

PODS, DEPLOYMENTS = "pods", "deployments"
CLOSE_S = 60.0
"""Ending everything may take this long; then it is left to Kubernetes, which was told."""


class Tenants(Protocol):
    """Whoever has replicas in the Pods."""

    def has(self, pod: str) -> bool:
        """Whether a Pod is somebody's, or was and is being seen off."""
        ...

    def pod_seen(self, sight: Sight, keeper: Keeper | None) -> None:
        """A Pod came or changed."""
        ...

    def pod_gone(self, name: str, keeper: Keeper | None) -> None:
        """A Pod is gone."""
        ...

    def refused(self, keeper: Keeper, reason: str) -> None:
        """The API server will have none of a version."""
        ...

    def turned(self, reason: str) -> None:
        """We lost sight of the cluster for this reason, or see it (empty)."""
        ...

    def inherited(self) -> None:
        """We have looked for the first time: orders that wait may have Pods that a predecessor left."""
        ...

    def hindered(self, keeper: Keeper, reason: str) -> None:
        """Kubernetes makes no more Pods of a version for this reason (empty: it does again)."""
        ...


class Estate:
    """`sights` are all Pods by name, as last seen."""

    def __init__(self, site: Site, errands: Errands, tenants: Tenants) -> None:
        self._site = site
        self._errands = errands
        self._tenants = tenants
        spec = site.kubernetes
        client = open_client(spec, site.environment, site.may_write)
        self.cluster = Cluster(client, spec.fleet)
        self.protection = Protection(client, errands, self.insist, site.notice)
        self.freshness = Freshness(frozenset({PODS, DEPLOYMENTS}), self._turned)
        self.sights: dict[str, Sight] = {}
        self._keepers: dict[str, Keeper] = {}
        """By version."""
        self._pools: set[str] = set()
        """Models that have had a keeper: those have a Secret."""
        self.trouble = ""
        """Why we do not see the cluster; empty while we do, and until we first looked."""
        self._is_settled = False
        self._inheritance = Inheritance(self._is_spare)
        self._moved = asyncio.Event()
        labels = fleet_labels(spec.fleet)
        self._pods = Watch(client, Pod, labels, self._pod_changed, partial(self.freshness.turn, PODS))
        self._deployments = Watch(
            client, Deployment, labels, self._deployment_changed, partial(self.freshness.turn, DEPLOYMENTS)
        )
        self._pods.open()
        self._deployments.open()

    def keeper_for(self, version: Version) -> Keeper:
        """Return who keeps the Deployment of a version."""
        keeper = self._keepers.get(version.mark)
        if keeper is None:
            keeper = Keeper(self.cluster, version, self.freshness, self._tenants.refused)
            self._keepers[version.mark] = keeper
            self._pools.add(version.model.pool.name)
            self._claim(keeper)
            self._errands.begin(self._keep(keeper))
        return keeper

    def former(self, version: Version) -> Version | None:
        """Return another version, of which a Pod is there that a predecessor left and an order may have; None: there is none."""
        return self._inheritance.former(version, self._deployments.objects)

    def renewed(self, pool: str) -> None:
        """A model's Pods of other versions are all taken over: what is ordered from now on is of its own."""
        self._inheritance.spent(pool)
        self._site.outdated(pool)

    async def insist(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask until it is done, or cannot be: what it was about is gone then, or we have no right to it."""
        backoff = Backoff(asyncio.Event())
        while True:
            await self.freshness.wait()
            try:
                return await ask()
            except TROUBLE as error:
                if is_hopeless(error):
                    return None
                await backoff.pause(error)

    async def pull_s(self, pod: str) -> float:
        """Return how long a Pod waited for its image; 0 where nobody says so."""
        try:
            return await self.cluster.pull_s(pod)
        except TROUBLE:  # it is for people only
            return 0.0

    async def close(self) -> None:
        """Follow no more; unless the fleet is to be kept, end all that it has first."""
        try:
            if not self._site.kubernetes.keep:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_S):
                        await self._clear()
        finally:
            await self._pods.close()
            await self._deployments.close()
            await self.cluster.client.close()

    def adopt(self, pool: str) -> None:
        """Tell the core how many Pods a model has that nobody of ours ordered."""
        count = sum(self._pool_of(sight.version) == pool for sight in self._orphans())
        if count:
            self._site.report(ReplicasAdopted(pool, count))

    # ---- what the watches say

    def _pod_changed(self, name: str) -> None:
        pod = self._pods.objects.get(name)
        before = self.sights.pop(name, None)
        if pod is not None:
            sight = self.sights[name] = look_at(pod)
            self._tenants.pod_seen(sight, self._keepers.get(sight.version))
        elif before is not None:
            self._tenants.pod_gone(name, self._keepers.get(before.version))
        self._moved.set()

    def _deployment_changed(self, name: str) -> None:
        keeper = self._keepers.get(name.rpartition("-")[2])
        deployment = self._deployments.objects.get(name)
        if keeper is not None:
            keeper.found(_number(deployment))
            self._tenants.hindered(keeper, quota_of(deployment) if deployment is not None else "")

    def _turned(self, reason: str) -> None:
        """Say when we lose sight of the cluster and see it again; the first time, what a predecessor left."""
        was_lost, self.trouble = bool(self.trouble), reason
        self._site.report(ScalingFrozen(reason))
        self._tenants.turned(reason)
        if reason and not was_lost:
            self._site.notice(f"cluster: {reason}; what runs serves on, and nothing is started or ended")
        elif was_lost and not reason:
            self._site.notice("cluster: seen again")
        if not reason and not self._is_settled:
            self._is_settled = True
            for sight in self._orphans():
                self._inheritance.leave(self._pool_of(sight.version), sight.version)
            self._tenants.inherited()
            for pool in {self._pool_of(sight.version) for sight in self._orphans()}:
                self.adopt(pool)
            self._sweep(self._is_outdated)
            self._errands.begin(self._sweep_later())

    # ---- what belongs to nobody

    def _orphans(self) -> list[Sight]:
        """Pods that would serve if somebody had ordered them."""
        return [
            sight
            for sight in self.sights.values()
            if not sight.is_leaving and sight.failure is None and not self._tenants.has(sight.name)
        ]

    def _is_spare(self, mark: str) -> bool:
        """Whether a version has a Pod that nobody has or waits for."""
        if keeper := self._keepers.get(mark):
            return len(keeper.unbound) > len(keeper.waiting)
        return any(sight.version == mark for sight in self._orphans())

    def _claim(self, keeper: Keeper) -> None:
        """Let a new keeper know what of its version there is; other versions of its model that nobody keeps are outdated."""
        keeper.found(_number(self._deployments.objects.get(keeper.version.name)))
        keeper.unbound |= {sight.name for sight in self._orphans() if sight.version == keeper.version.mark}
        if self._is_settled:
            if keeper.unbound:
                self.adopt(keeper.version.model.pool.name)
            self._sweep(self._is_outdated)

    def _pool_of(self, version: str) -> str:
        for name, deployment in self._deployments.objects.items():
            if name.rpartition("-")[2] == version:
                return _pool(deployment)
        return ""

    def _is_outdated(self, deployment: Deployment) -> bool:
        return _pool(deployment) in {keeper.version.model.pool.name for keeper in self._keepers.values()}

    def _sweep(self, is_over: Callable[[Deployment], bool]) -> None:
        """Delete Deployments that nobody keeps and that are over."""
        for name, deployment in self._deployments.objects.items():
            if name.rpartition("-")[2] not in self._keepers and is_over(deployment):
                self._errands.begin(self.insist(partial(self.cluster.delete_deployment, name)))

    async def _sweep_later(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await asyncio.Event().wait()
        await self.freshness.wait()
        self._sweep(lambda _: True)

    async def _keep(self, keeper: Keeper) -> None:
        await keeper.run()
        del self._keepers[keeper.version.mark]
        await self.insist(partial(self.cluster.delete_deployment, keeper.version.name))

    async def _clear(self) -> None:
        for name in list(self._deployments.objects):
            await self.insist(partial(self.cluster.delete_deployment, name))
        for pool in self._pools:
            await self.insist(partial(self.cluster.delete_secret, pool))
        await self.protection.remove()
        while self.sights:
            self._moved.clear()
            await self._moved.wait()


def _number(deployment: Deployment | None) -> int | None:
    """How many Pods a Deployment is set to have; None where there is none."""
    return (deployment.spec.replicas or 0) if deployment is not None and deployment.spec is not None else None


def _pool(deployment: Deployment) -> str:
    notes: dict[str, str] = (deployment.metadata.annotations or {}) if deployment.metadata is not None else {}
    return notes.get(MODEL_NOTE, "")
