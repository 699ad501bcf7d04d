"""The Lease by which one of several controllers leads, as one call each.

Law: it is written only as it was seen, so that of two who write at once one is told that it was outrun.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import lightkube
from lightkube.generic_resource import create_namespaced_resource

from toque.kube.trouble import TROUBLE, is_gone
from toque.kube.words import LEASE, MANAGER
from toque.model.cluster import Claim

_Lease = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")
"""As plain mappings: its times have six digits after the point, which lightkube's own class would not write."""


class LeaseRecord:
    """One Lease. `clock` is the wall clock in seconds: its times are for people, nobody reckons with them."""

    def __init__(self, client: lightkube.AsyncClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._acquired = ""

    async def look(self) -> Claim | None:
        """Return what it says; None: it is not there. Raises one of `TROUBLE`."""
        try:
            return _claim(await self._client.get(_Lease, LEASE))
        except TROUBLE as error:
            if not is_gone(error):
                raise
            return None

    async def write(self, holder: str, lease_s: int, seen: Claim | None) -> str:
        """Make it `holder`'s (empty: nobody's), if it is still as it was seen; returns its new mark. Raises one of `TROUBLE`."""
        now = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_turn = seen is None or seen.holder != holder
        if is_turn or not self._acquired:
            self._acquired = now
        spec: dict[str, object] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": lease_s,
            "acquireTime": self._acquired,
            "renewTime": now,
            "leaseTransitions": (seen.turns if seen is not None else 0) + (is_turn and bool(holder)),
        }
        metadata = {"name": LEASE, "labels": {"app.kubernetes.io/managed-by": MANAGER}}
        if seen is None:
            return _claim(await self._client.create(_Lease.from_dict({"metadata": metadata, "spec": spec}))).mark
        made = _Lease.from_dict({"metadata": {**metadata, "resourceVersion": seen.mark}, "spec": spec})
        return _claim(await self._client.replace(made)).mark


def _claim(lease: object) -> Claim:
    assert isinstance(lease, dict)
    spec, metadata = lease.get("spec") or {}, lease["metadata"]
    return Claim(
        holder=spec.get("holderIdentity") or "",
        lease_s=float(spec.get("leaseDurationSeconds") or 0),
        mark=metadata["resourceVersion"],
        turns=spec.get("leaseTransitions") or 0,
    )
