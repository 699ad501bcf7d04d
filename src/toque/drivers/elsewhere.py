"""What drivers of replicas that somebody else runs have in common: a look at whether an address can be reached, and no more.

Law: what is answered there is the breaker's business, and so is when to try again one that cannot be reached: it is never gone,
since nobody here can start it anew.
"""

import asyncio

from toque.drivers.site import Site
from toque.model.endpoint import Endpoint
from toque.model.messages import ReplicaHealthy, ReplicaStopped, ReplicaUnreachable
from toque.ports import ReplicaStatus
from toque.wire.connections import tls_context

PROBE_TIMEOUT_S = 2.0


class ElsewhereDriver:
    """All of `ports.Driver` but how a replica is found. `_endpoints` are those that are known."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._endpoints: dict[int, Endpoint] = {}
        self._probes: dict[int, asyncio.Task[None]] = {}

    def stop(self, replica_id: int) -> None:
        """Forget a replica."""
        self._forget(replica_id)
        self._site.report(ReplicaStopped(replica_id))

    def probe(self, replica_id: int) -> None:
        """Find out whether its address can be reached; a probe under way answers for this one too."""
        endpoint = self._endpoints.get(replica_id)
        if endpoint is not None and replica_id not in self._probes:
            self._probes[replica_id] = asyncio.create_task(self._probe(replica_id, endpoint))

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached."""
        return self._endpoints.get(replica_id)

    def is_ours(self, replica_id: int) -> bool:
        """Whether it is still known: who answers there is for TLS to say."""
        return replica_id in self._endpoints

    def status(self, replica_id: int) -> ReplicaStatus:
        """Nothing is known of what runs elsewhere."""
        return ReplicaStatus()

    async def close(self) -> None:
        """End the probes under way."""
        probes = list(self._probes.values())
        for replica_id in list(self._endpoints):
            self._forget(replica_id)
        await asyncio.gather(*probes, return_exceptions=True)

    def _forget(self, replica_id: int) -> None:
        self._endpoints.pop(replica_id, None)
        probe = self._probes.pop(replica_id, None)
        if probe is not None:
            probe.cancel()

    async def _probe(self, replica_id: int, endpoint: Endpoint) -> None:
        can_be_reached = await _connects(endpoint)
        del self._probes[replica_id]
        if can_be_reached:
            self._site.report(ReplicaHealthy(replica_id))
        else:
            self._site.report(ReplicaUnreachable(replica_id, "its address cannot be reached"))


async def _connects(endpoint: Endpoint) -> bool:
    tls = tls_context() if endpoint.secure else None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, endpoint.host, endpoint.port, ssl=tls
            )
    except OSError:  # TimeoutError too
        return False
    transport.close()
    return True
