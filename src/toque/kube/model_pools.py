"""ModelPool objects and what belongs to one, as one call of the API server each.

Law: it tells what is there and writes what it is told; what an object means is not its business.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias, cast

import lightkube
from lightkube.core.client import LabelSelector
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Event as Happening
from lightkube.resources.core_v1 import Secret
from lightkube.types import CascadeType, PatchType

from toque.kube.trouble import TROUBLE, is_gone
from toque.kube.watch import CHUNK, name_of
from toque.kube.words import MANAGER, object_name, pool_labels
from toque.model.pool_object import GROUP, KIND, PLURAL, VERSION

Manifest: TypeAlias = Mapping[str, object]
ModelPool = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)


class ModelPools:
    """Those of one namespace."""

    def __init__(self, client: lightkube.AsyncClient, fleet: str) -> None:
        self._client = client
        self._fleet = fleet

    async def list(self) -> list[Manifest]:
        """Return all that are there. Raises one of `TROUBLE`; 404 where the cluster does not know what a ModelPool is."""
        return [cast(Manifest, each) async for each in self._client.list(ModelPool, chunk_size=CHUNK)]

    async def remove(self, name: str) -> None:
        """Begin to end one; it is gone when its replicas are."""
        await self._delete(ModelPool, name)

    async def tell(self, name: str, status: Manifest) -> None:
        """Write the status of one; nothing where it is gone."""
        try:
            await self._client.patch(ModelPool.Status, name, {"status": dict(status)}, patch_type=PatchType.MERGE)
        except TROUBLE as error:
            if not is_gone(error):
                raise

    async def report(self, about: Manifest, kind: str, reason: str, message: str, now: float) -> None:
        """Add an Event to one: `kind` is Normal or Warning. `about` is its ownerReference, `now` the wall clock."""
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        subject = {name: about[name] for name in ("apiVersion", "kind", "name", "uid")}
        event = {
            "metadata": {"generateName": f"{about['name']}.", "namespace": self._client.namespace},
            "involvedObject": {**subject, "namespace": self._client.namespace},
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": MANAGER},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        await self._client.create(cast(Happening, Happening.from_dict(event)))

    async def clear(self, pool: str) -> None:
        """Remove whatever a pool has: its Deployments with their Pods, and its Secret. Raises one of `TROUBLE`."""
        labels: LabelSelector = dict(pool_labels(self._fleet, pool))
        names = [name_of(each) async for each in self._client.list(Deployment, labels=labels, chunk_size=CHUNK)]
        for name in names:
            await self._delete(Deployment, name)
        await self._delete(Secret, object_name(pool))

    async def _delete(self, kind: type[NamespacedResource], name: str) -> None:
        try:
            await self._client.delete(kind, name, cascade=CascadeType.BACKGROUND)
        except TROUBLE as error:
            if not is_gone(error):
                raise


def owner_of(name: str, uid: str) -> Manifest:
    """Return the ownerReference of what a ModelPool has: Kubernetes removes it with that."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
