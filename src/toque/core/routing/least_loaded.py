"""Least loaded first: the ready replica with the fewest requests in flight takes the next ticket.

Law: choosing costs the same with one replica and with a thousand. Replicas stand on shelves by their load, a bit mask
says which shelves are in use, and the lowest bit is the least loaded shelf. Among equals the one idle longest goes first.
"""

from collections import OrderedDict

from toque.core.replica import READY, Replica


class LeastLoaded:
    """Shelves of routable replicas, one shelf a load."""

    __slots__ = ("_mask", "_shelf_of", "_shelves")

    def __init__(self) -> None:
        self._shelves: list[OrderedDict[int, Replica]] = []
        self._shelf_of: dict[int, int] = {}
        self._mask = 0

    def place(self, replica: Replica) -> None:
        """Put a replica where its load and state say; call it after every change of either."""
        replica_id, load, shelves, shelf_of = replica.id, replica.in_flight, self._shelves, self._shelf_of
        if replica_id in shelf_of:
            earlier = shelf_of[replica_id]
            shelf = shelves[earlier]
            del shelf[replica_id]
            if not shelf:
                self._mask ^= 1 << earlier
        if load >= replica.slots or replica.state is not READY or replica.is_barred:
            shelf_of.pop(replica_id, None)
            return
        if load >= len(shelves):
            shelves.extend(OrderedDict() for _ in range(replica.slots))
        shelf = shelves[load]
        if not shelf:
            self._mask |= 1 << load
        shelf[replica_id] = replica
        shelf_of[replica_id] = load

    def remove(self, replica: Replica) -> None:
        """Take a replica off its shelf, if it is on one."""
        load = self._shelf_of.pop(replica.id, None)
        if load is not None:
            shelf = self._shelves[load]
            del shelf[replica.id]
            if not shelf:
                self._mask ^= 1 << load

    def choose(self, avoid: int | None) -> Replica | None:
        """Return the least loaded one, rather not `avoid` (where this ticket just failed); None when all are full."""
        mask = self._mask
        second_best = None
        while mask:
            for replica in self._shelves[(mask & -mask).bit_length() - 1].values():
                if replica.id != avoid:
                    return replica
                second_best = replica
            mask &= mask - 1
        return second_best
