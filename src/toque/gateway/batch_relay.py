"""The relay of a request of class batch: its slot may be taken away for somebody who waits, and given back later.

Law: as of any relay; and once bytes of the answer go to the client the core is told, for then it cannot be put back.
"""

from toque.gateway.outlet import Write
from toque.gateway.relay import Relay
from toque.model.messages import Began
from toque.model.ticket import RefusalReason


class BatchRelay(Relay):
    """Stops its call when it is told to, and waits for another grant as if this one had never been."""

    __slots__ = ()

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        """A slot is ours. What failed in the step that also took it away has failed in vain: its call is still there."""
        self._drop_attempt()
        super().granted(replica_id, cold_start_s)

    def preempted(self) -> None:
        """Our slot goes to somebody else: stop the replica."""
        self._drop_attempt()
        self._attempts -= 1

    def refused(self, reason: RefusalReason, retry_after_s: float, fallback: str) -> None:
        """There is no slot; see `granted`."""
        self._drop_attempt()
        super().refused(reason, retry_after_s, fallback)

    def begin(self, content_type: bytes, length: int | None) -> Write | None:
        """The answer begins."""
        self._around.fleet.post(Began(self._ticket_id))
        return super().begin(content_type, length)
