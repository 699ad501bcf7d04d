"""The items of batches in the store: added, leased, renewed, settled.

Law: an item has one result, the first that comes with the item's latest token; counts change in the transaction that
changes the item, so that they are right at any instant.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from toque.batch.database import Database, Transaction
from toque.batch.rows import ItemState, Outcome, bytes_of, lease_of
from toque.model.batch import Batch, Item, Lease


class ItemStore:
    """Keeps the items of all batches. `clock` is the wall clock in seconds. All of it blocks."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def begin(self, batch_id: str) -> None:
        """Forget the items of a validation that was interrupted."""
        with self._database.transaction() as step:
            step.run("DELETE FROM items WHERE batch_id = ?", batch_id)

    def add(self, batch_id: str, items: Sequence[Item]) -> None:
        """Add the next items; nothing runs before the batch is accepted."""
        rows = [(batch_id, item.line, item.custom_id, item.body, ItemState.WAITING.value) for item in items]
        with self._database.transaction() as step:
            step.run_many(
                "INSERT INTO items (batch_id, line, custom_id, body, state, token, attempts, due_at)"
                " VALUES (?, ?, ?, ?, ?, 0, 0, 0)",
                rows,
            )

    def lease(self, batches: Sequence[Batch], limit: int, lease_s: int) -> list[Lease]:
        """Give out up to `limit` items that are due, of the first of these batches; also those whose lease ran out.

        A lease that ran out gets a new token with its new holder, so that a late result of the old one is dropped.
        """
        now = int(self._clock())
        leases: list[Lease] = []
        for batch in batches:
            if len(leases) == limit:
                break
            if batch.expires_at > now:
                leases += self._lease_of(batch, limit - len(leases), now, now + lease_s)
        return leases

    def _lease_of(self, batch: Batch, limit: int, now: int, until: int) -> list[Lease]:
        with self._database.transaction() as step:
            rows = step.rows(
                f"""UPDATE items SET state = ?, token = token + 1, attempts = attempts + 1, due_at = ?
                    WHERE batch_id = ? AND line IN (
                        SELECT line FROM items WHERE batch_id = ? AND state IN (?, ?) AND due_at <= ?
                        ORDER BY line LIMIT ? {self._database.skip_locked})
                    RETURNING line, custom_id, body, token, attempts""",
                ItemState.LEASED.value,
                until,
                batch.id,
                batch.id,
                ItemState.WAITING.value,
                ItemState.LEASED.value,
                now,
                limit,
            )
        return [lease_of(batch, row, until) for row in rows]

    def recover(self) -> None:
        """Put back what a process that died had leased; its attempts do not count against the items."""
        with self._database.transaction() as step:
            step.run(
                "UPDATE items SET state = ?, due_at = 0, attempts = attempts - 1 WHERE state = ?",
                ItemState.WAITING.value,
                ItemState.LEASED.value,
            )

    def renew(self, leases: Sequence[Lease], lease_s: int) -> list[Lease]:
        """Keep leases for longer; return those that are still their holder's, with their new end."""
        until = int(self._clock()) + lease_s
        with self._database.transaction() as step:
            return [
                replace(lease, until=until)
                for lease in leases
                if step.run(
                    "UPDATE items SET due_at = ? WHERE batch_id = ? AND line = ? AND token = ? AND state = ?",
                    until,
                    lease.batch_id,
                    lease.item.line,
                    lease.token,
                    ItemState.LEASED.value,
                )
            ]

    def is_short(self, lease: Lease, lease_s: int) -> bool:
        """Whether less than half of a lease's time is left."""
        return lease.until - self._clock() < lease_s / 2

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Keep what became of items, all in one commit. False for one that came too late: another has it, or has done it."""
        with self._database.transaction() as step:
            return [self._settle(step, outcome) for outcome in outcomes]

    def _settle(self, step: Transaction, outcome: Outcome) -> bool:
        lease = outcome.lease
        is_waiting = outcome.state is ItemState.WAITING
        if not step.run(
            "UPDATE items SET state = ?, result = ?, due_at = ?, attempts = attempts - ?"
            " WHERE batch_id = ? AND line = ? AND token = ? AND state = ?",
            outcome.state.value,
            outcome.output_line,
            int(self._clock() + outcome.after_s),
            0 if outcome.counts else 1,
            lease.batch_id,
            lease.item.line,
            lease.token,
            ItemState.LEASED.value,
        ):
            return False
        if not is_waiting:
            counter = "completed" if outcome.state is ItemState.COMPLETED else "failed"
            step.run(f"UPDATE batches SET {counter} = {counter} + 1 WHERE id = ?", lease.batch_id)
        return True

    def is_at_work(self, batch_id: str) -> bool:
        """Whether anybody holds a lease of this batch that has not run out."""
        with self._database.transaction() as step:
            rows = step.rows(
                "SELECT 1 FROM items WHERE batch_id = ? AND state = ? AND due_at > ? LIMIT 1",
                batch_id,
                ItemState.LEASED.value,
                int(self._clock()),
            )
        return bool(rows)

    def results(self, batch_id: str, state: ItemState, after: int, limit: int) -> list[tuple[int, str, bytes]]:
        """Return line, custom id and output line of items in a state, in the order of the input, behind line `after`."""
        with self._database.transaction() as step:
            rows = step.rows(
                "SELECT line, custom_id, COALESCE(result, body) FROM items"
                " WHERE batch_id = ? AND state = ? AND line > ? ORDER BY line LIMIT ?",
                batch_id,
                state.value,
                after,
                limit,
            )
        return [(int(str(line)), str(custom_id), bytes_of(result)) for line, custom_id, result in rows]
