"""Progress of loading replicas, told to whoever started the service.

Law: a model is announced ready once a start; ratios only while its first replica loads.
"""

from collections.abc import Callable

from toque.model.announcement import Announcement, Loading, ModelFailed, ModelReady
from toque.model.messages import Event, ReplicaFailed, ReplicaReady, ReplicaStopped


class Progress:
    """A watcher of the controller."""

    def __init__(self, announce: Callable[[Announcement], None]) -> None:
        self._announce = announce
        self._starts: dict[int, tuple[str, float]] = {}

    def ordered(self, pool: str, replica_id: int, now: float) -> None:
        """A start begins."""
        self._starts[replica_id] = (pool, now)
        self._announce(Loading(pool, 0.0))

    def loading(self, replica_id: int, ratio: float) -> None:
        """A part of its model is loaded."""
        if replica_id in self._starts:
            self._announce(Loading(self._starts[replica_id][0], ratio))

    def reported(self, event: Event, now: float) -> None:
        """A start succeeded or failed."""
        match event:
            case ReplicaReady(replica_id) if replica_id in self._starts:
                pool, since = self._starts.pop(replica_id)
                self._announce(ModelReady(pool, now - since))
            case ReplicaFailed(replica_id, _, reason) if replica_id in self._starts:
                self._announce(ModelFailed(self._starts.pop(replica_id)[0], reason))
            case ReplicaStopped(replica_id):
                self._starts.pop(replica_id, None)
            case _:
                pass
