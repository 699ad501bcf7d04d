"""Keeps the PodDisruptionBudget of each model that wants one, so that emptied machines take few of its replicas at once.

Law: it is no part of a version and of no start: a cluster that will have none is told of, and serves without.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeAlias

import lightkube
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.policy_v1 import PodDisruptionBudget
from lightkube.types import PatchType

from toque.drivers.kubernetes.errands import Errands
from toque.kube.manifests import Version, owned_by
from toque.kube.placement import disruption_budget
from toque.kube.trouble import TROUBLE, explain, is_gone, is_hopeless
from toque.kube.words import Manifest, object_name

OLDER = create_namespaced_resource("policy", "v1beta1", "PodDisruptionBudget", "poddisruptionbudgets")
"""What the kind was before Kubernetes 1.21."""

_Kind: TypeAlias = type[NamespacedResource]
_Ask: TypeAlias = Callable[[], Coroutine[None, None, None]]


class Protection:
    """`insist` asks the API server until it is done or cannot be; `notice` tells a person."""

    def __init__(
        self,
        client: lightkube.AsyncClient,
        errands: Errands,
        insist: Callable[[_Ask], Coroutine[None, None, None]],
        notice: Callable[[str], None],
    ) -> None:
        self._client = client
        self._errands = errands
        self._insist = insist
        self._notice = notice
        self._budgets: dict[str, tuple[int, object]] = {}
        """What each model's budget was last brought to, and for which owner, by its pool."""

    def keep(self, version: Version) -> None:
        """Bring a model's budget to what its settings say, if they say another one than before."""
        pool, wanted = version.model.pool.name, version.model.pod.disruptions_max
        owner = version.owner["uid"] if version.owner is not None else None
        if self._budgets.get(pool, (0, owner)) == (wanted, owner):
            return
        self._budgets[pool] = (wanted, owner)
        self._errands.begin(self._insist(partial(self._bring, version)))

    async def remove(self) -> None:
        """Leave no budget behind."""
        for pool in [pool for pool, (budget, _) in self._budgets.items() if budget]:
            await self._insist(partial(self._delete, pool))

    async def _bring(self, version: Version) -> None:
        pool = version.model.pool.name
        try:
            if self._budgets[pool][0]:
                await self._apply(version)
            else:
                await self._delete(pool)
        except TROUBLE as error:
            if not is_hopeless(error):
                raise
            self._notice(f"{pool}: no PodDisruptionBudget can be kept: {explain(error)}")

    async def _apply(self, version: Version) -> None:
        made = disruption_budget(version.model, version.fleet)
        metadata = made["metadata"]
        assert isinstance(metadata, dict)
        made["metadata"] = metadata | owned_by(version.owner)

        async def apply(kind: _Kind, api: str) -> None:
            manifest: Manifest = made | {"apiVersion": api}
            name = object_name(version.model.pool.name)
            await self._client.patch(kind, name, manifest, patch_type=PatchType.APPLY, force=True)

        try:
            await apply(PodDisruptionBudget, "policy/v1")
        except TROUBLE as error:
            if not is_gone(error):  # applying makes what is not there: it is the kind itself that is missing
                raise
            await apply(OLDER, "policy/v1beta1")

    async def _delete(self, pool: str) -> None:
        """Gone is gone; of the older kind where there is no other."""
        kinds: tuple[_Kind, ...] = (PodDisruptionBudget, OLDER)
        for kind in kinds:
            try:
                await self._client.delete(kind, object_name(pool))
                break
            except TROUBLE as error:
                if not is_gone(error):
                    raise
