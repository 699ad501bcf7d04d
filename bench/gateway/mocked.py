"""A driver whose replicas are the ports of the mock: toque runs with its queue, routing and probes, and starts nothing.

Named in the settings of the benchmark as `driver = "mocked:MockedDriver"`; the ports come in MOCK_PORTS.
"""

from collections.abc import Sequence
from os import environ

import lateness

from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec
from toque.model.endpoint import Endpoint
from toque.model.messages import ReplicaHealthy, ReplicaReady, ReplicaStopped
from toque.ports import ReplicaStatus

PORTS = "MOCK_PORTS"


class MockedDriver:
    """See `toque.ports.Driver`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ports: Sequence[str] = environ[PORTS].split()
        self._endpoints: dict[int, Endpoint] = {}
        lateness.watch()

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Give the replica the next port; it is ready at once."""
        port = self._ports[replica_id % len(self._ports)]
        self._endpoints[replica_id] = Endpoint("127.0.0.1", int(port))
        self._site.report(ReplicaReady(replica_id))

    def stop(self, replica_id: int) -> None:
        """Forget the replica."""
        self._endpoints.pop(replica_id, None)
        self._site.report(ReplicaStopped(replica_id))

    def probe(self, replica_id: int) -> None:
        """The mock is always well."""
        self._site.report(ReplicaHealthy(replica_id))

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Its port."""
        return self._endpoints.get(replica_id)

    def is_ours(self, replica_id: int) -> bool:
        """Whether the replica is still known."""
        return replica_id in self._endpoints

    def status(self, replica_id: int) -> ReplicaStatus:
        """Nothing is known."""
        return ReplicaStatus()

    async def close(self) -> None:
        """Nothing runs."""
        self._endpoints.clear()
