"""Where the replicas are: their connections, and the heads of the requests to them.

Law: a replica is reached at the endpoint that its driver names, and nothing in a request has a say in it.
"""

from typing import Protocol

from toque.gateway.errand import Errand
from toque.model.endpoint import Endpoint
from toque.model.service_spec import LimitSpec
from toque.wire.client import Call
from toque.wire.connections import Connections, encode_head


class Directory(Protocol):
    """Whoever knows which replica is where (the controller)."""

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached; None when it is gone."""
        ...

    def is_ours(self, replica_id: int) -> bool:
        """Whether the process behind the endpoint is still the one we started."""
        ...


class Upstream:
    """One replica: `send` a request to it."""

    __slots__ = ("_connections", "_heads")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._heads: dict[str, bytes] = {}

    def send(self, call: Call, errand: Errand, now: float) -> None:
        """POST what an errand asks for, with its name and the time that is left: who keeps to it is not done before we are."""
        path, body = errand.path, errand.ask.body
        head = self._heads.get(path)
        if head is None:
            head = encode_head(self._connections.endpoint, "POST", path) + b"content-type: application/json\r\n"
            self._heads[path] = head
        self._connections.send(
            call,
            b"%bx-request-id: %b\r\n%bx-toque-timeout-ms: %d\r\ncontent-length: %d\r\n\r\n%b"
            % (head, errand.request_id, errand.fields, (errand.deadline - now) * 1000 + 1, len(body), body),
        )

    def retire(self) -> None:
        """Close what is idle and keep nothing for reuse; calls under way go on."""
        self._connections.retire()

    async def close(self) -> None:
        """Close everything."""
        await self._connections.close()


class Upstreams:
    """All replicas that were called so far and still exist. `limits` hold for those that are met from now on."""

    def __init__(self, directory: Directory, limits: LimitSpec) -> None:
        self._directory = directory
        self.limits = limits
        self._known: dict[int, Upstream] = {}

    def to(self, replica_id: int) -> Upstream | None:
        """Return the way to a replica; None when it is gone."""
        return self._known.get(replica_id) or self._meet(replica_id)

    def _meet(self, replica_id: int) -> Upstream | None:
        self._forget_the_gone()
        endpoint = self._directory.endpoint(replica_id)
        if endpoint is None:
            return None
        connections = Connections(
            endpoint,
            connect_s=self.limits.connect_s,
            idle_max=self.limits.idle_upstream_connections_max,
            is_ours=lambda: self._directory.is_ours(replica_id),
        )
        self._known[replica_id] = upstream = Upstream(connections)
        return upstream

    def _forget_the_gone(self) -> None:
        for replica_id in list(self._known):
            if self._directory.endpoint(replica_id) is None:
                self._known.pop(replica_id).retire()

    async def close(self) -> None:
        """Close all connections to all replicas."""
        while self._known:
            _, upstream = self._known.popitem()
            await upstream.close()
