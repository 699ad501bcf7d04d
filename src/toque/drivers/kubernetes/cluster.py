"""Everything that the driver asks of the API server, each as one call.

Law: nothing here waits or tries again; what goes wrong is raised as one of `kube.trouble.TROUBLE`, and it is nothing wrong when
what shall be gone is gone already.
"""

import base64
import secrets
from math import inf
from typing import cast

import lightkube
from lightkube.core.resource import NamespacedResource
from lightkube.resources.apps_v1 import Deployment, DeploymentScale
from lightkube.resources.core_v1 import Event as Happening
from lightkube.resources.core_v1 import Pod, PodStatus
from lightkube.resources.core_v1 import Secret as SecretObject
from lightkube.types import CascadeType, PatchType

from toque.kube.manifests import SECRET_KEY, Version, deployment, secret
from toque.kube.trouble import TROUBLE, is_conflict, is_gone
from toque.kube.words import DELETION_COST, SERVING, object_name
from toque.model.agent_spec import Secret

SECRET_BYTES = 32
EVENTS_MAX = 50
"""Of one Pod, in one answer."""
FIRST_TO_GO = "-1000"
"""Deletion cost of a Pod that is to go: others cost 0."""


class Cluster:
    """One namespace of a cluster, as the driver needs it."""

    def __init__(self, client: lightkube.AsyncClient, fleet: str) -> None:
        self.client = client
        self._fleet = fleet

    async def apply(self, version: Version, replicas: int) -> None:
        """Make the Deployment of a version, or bring it to what it should be."""
        await self.client.patch(
            Deployment, version.name, deployment(version, replicas), patch_type=PatchType.APPLY, force=True
        )

    async def scale(self, name: str, replicas: int) -> None:
        """Set the number of a Deployment's Pods through its scale subresource."""
        await self.client.patch(DeploymentScale, name, {"spec": {"replicas": replicas}}, patch_type=PatchType.MERGE)

    async def secret_of(self, version: Version) -> Secret:
        """Return what a model's replicas answer to; the first one who asks makes it up."""
        pool = version.model.pool.name
        try:
            return await self._kept_secret(pool)
        except TROUBLE as error:
            if not is_gone(error):
                raise
        text = secrets.token_urlsafe(SECRET_BYTES)
        try:
            made = SecretObject.from_dict(secret(pool, self._fleet, text, version.owner))
            await self.client.create(cast(SecretObject, made))
        except TROUBLE as error:
            if not is_conflict(error):
                raise
            return await self._kept_secret(pool)  # somebody else was faster
        return Secret(text)

    async def show(self, pod: str, *, is_serving: bool) -> None:
        """Turn the readiness gate of a Pod on or off."""
        condition = {"type": SERVING, "status": str(is_serving)}
        await self.client.patch(PodStatus, pod, {"status": {"conditions": [condition]}})

    async def mark(self, pod: str) -> None:
        """Have Kubernetes rather remove this Pod than others (known to its controllers from 1.22 on)."""
        note = {"metadata": {"annotations": {DELETION_COST: FIRST_TO_GO}}}
        await self.client.patch(Pod, pod, note, patch_type=PatchType.MERGE)

    async def delete_pod(self, pod: str) -> None:
        """Begin to end a Pod."""
        await self._delete(Pod, pod)

    async def delete_deployment(self, name: str) -> None:
        """Begin to end a Deployment with all its Pods."""
        await self._delete(Deployment, name)

    async def delete_secret(self, pool: str) -> None:
        """Remove the Secret of a model."""
        await self._delete(SecretObject, object_name(pool))

    async def pull_s(self, pod: str) -> float:
        """Return the seconds from a Pod's getting a machine to its image being there, whole ones, as its Events have it."""
        moments: dict[str, float] = {}
        async for event in self.client.list(Happening, fields={"involvedObject.name": pod}, chunk_size=EVENTS_MAX):
            moment = event.firstTimestamp or event.eventTime
            if moment is not None and event.reason is not None:
                moments.setdefault(event.reason, moment.timestamp())
        return max(0.0, moments.get("Pulled", 0.0) - moments.get("Scheduled", inf))

    async def _kept_secret(self, pool: str) -> Secret:
        kept = await self.client.get(SecretObject, object_name(pool))
        return Secret(base64.b64decode((kept.data or {})[SECRET_KEY]).decode())

    async def _delete(self, kind: type[NamespacedResource], name: str) -> None:
        try:
            await self.client.delete(kind, name, cascade=CascadeType.BACKGROUND)
        except TROUBLE as error:
            if not is_gone(error):
                raise
