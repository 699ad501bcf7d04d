"""Claims: which gateway makes a batch's next move, where several have one store.

Law: whoever changes a batch on the strength of a claim looks in the same transaction whether the claim is still its own.
"""

from collections.abc import Callable

from toque.batch.database import Database, Transaction
from toque.batch.rows import BATCH_COLUMNS, batch_of
from toque.model.batch import Batch, BatchStatus, Claim
from toque.model.errors import ToqueError


class ClaimLostError(ToqueError):
    """Another gateway has taken the batch's move over, for this one said nothing for too long."""


class ClaimDesk:
    """Gives out claims that last `lease_s` from the last time they were used. `clock` is the wall clock in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float], lease_s: int) -> None:
        self._database = database
        self._clock = clock
        self._lease_s = lease_s

    def take(self, batch_id: str, status: BatchStatus, holder: str) -> Claim | None:
        """Claim a batch's move out of this status. None: another gateway is at it, or has made it."""
        now = int(self._clock())
        with self._database.transaction() as step:
            if not step.run(
                "UPDATE batches SET holder = ?, held_until = ?"
                " WHERE id = ? AND status = ? AND (holder = '' OR holder = ? OR held_until <= ?)",
                holder,
                now + self._lease_s,
                batch_id,
                status.value,
                holder,
                now,
            ):
                return None
            batch = find_batch(step, batch_id)
        return None if batch is None else Claim(batch, holder)

    def use(self, step: Transaction, claim: Claim) -> None:
        """Make sure that a claim still holds, and let it last anew. Raises `ClaimLostError`."""
        until = int(self._clock()) + self._lease_s
        if not step.run(
            "UPDATE batches SET held_until = ? WHERE id = ? AND holder = ?", until, claim.batch.id, claim.holder
        ):
            raise ClaimLostError(f"The batch {claim.batch.id} is another gateway's now.")

    def keep(self, claim: Claim) -> None:
        """Let a claim last anew, between the steps of a long move. Raises `ClaimLostError`."""
        with self._database.transaction() as step:
            self.use(step, claim)

    def release(self, claim: Claim) -> None:
        """The move is made, or given up."""
        with self._database.transaction() as step:
            step.run("UPDATE batches SET holder = '' WHERE id = ? AND holder = ?", claim.batch.id, claim.holder)


def find_batch(step: Transaction, batch_id: str, *, lock: str = "") -> Batch | None:
    """Return a batch. `lock`: one of the dialect's words, for who is about to change it or its items."""
    rows = step.rows(f"SELECT {BATCH_COLUMNS} FROM batches WHERE id = ? {lock}", batch_id)
    return batch_of(rows[0]) if rows else None
