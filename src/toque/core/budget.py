"""The one capacity budget all pools share.

Law: a replica is started only when its footprint fits into what is left. What replicas turn out to take when measured may
overdraw the budget (they are there already), but then nothing more is started.
"""

from toque.model.resources import Resources


class Budget:
    """Capacity, and what each replica takes of it. `frozen` says why none can be started or ended now; empty when it can."""

    __slots__ = ("_taken", "_used", "capacity", "frozen")

    def __init__(self, capacity: Resources) -> None:
        self.capacity = capacity
        self.frozen = ""
        self._used = Resources()
        self._taken: dict[int, Resources] = {}

    @property
    def free(self) -> Resources:
        """What is left."""
        return self.capacity.minus(self._used)

    @property
    def used(self) -> Resources:
        """What all replicas take together."""
        return self._used

    @property
    def holders(self) -> set[int]:
        """Replicas that take something of it."""
        return set(self._taken)

    def shortage(self, footprint: Resources) -> str:
        """Say what is missing for one more of this footprint; empty when it fits."""
        return footprint.shortage(self.free)

    def take(self, replica_id: int, footprint: Resources) -> None:
        """Reserve for a replica, or correct its reservation to what was measured."""
        self.release(replica_id)
        self._taken[replica_id] = footprint
        self._used = self._used.plus(footprint)

    def release(self, replica_id: int) -> None:
        """Give back what a replica took."""
        footprint = self._taken.pop(replica_id, None)
        if footprint is not None:
            self._used = self._used.minus(footprint)
