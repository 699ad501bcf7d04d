"""The batches of the store: ordered, validated, run, closed.

Law: a batch moves in one direction, and each move is one commit.
"""

import json
from collections.abc import Callable, Sequence

from toque.batch.database import Database, Transaction
from toque.batch.files import Draft
from toque.batch.identity import new_id
from toque.batch.items import ItemStore
from toque.batch.rows import BATCH_COLUMNS, batch_of, text_of_errors
from toque.model.batch import ENDED, Batch, BatchOrder, BatchStatus, LineError


class JobStore:
    """Keeps batches and their items for one or several gateways. `clock` is the wall clock in seconds. All of it blocks."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self.items = ItemStore(database, clock)

    # ---- batches -----------------------------------------------------------------------------------------------------

    def create(self, order: BatchOrder) -> Batch:
        """Accept a batch; its input is looked at next."""
        now = int(self._clock())
        moments = {BatchStatus.VALIDATING.value: now}
        batch = Batch(new_id("batch"), order, BatchStatus.VALIDATING, moments, now + order.window_s)
        with self._database.transaction() as step:
            step.run(
                f"INSERT INTO batches ({BATCH_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, '', '', '[]')",
                batch.id,
                order.tenant,
                order.endpoint,
                order.input_file_id,
                order.window,
                order.window_s,
                json.dumps(dict(order.metadata)),
                batch.status.value,
                json.dumps(moments),
                now,
                batch.expires_at,
            )
        return batch

    def find(self, tenant: str, batch_id: str) -> Batch | None:
        """Return the tenant's batch of this name."""
        with self._database.transaction() as step:
            return _find(step, batch_id, tenant)

    def all_of(self, tenant: str, *, after: str = "", limit: int = 20) -> list[Batch]:
        """Return up to `limit` batches of a tenant, newest first, from the one behind `after` on."""
        with self._database.transaction() as step:
            rows = step.rows(
                f"""SELECT {BATCH_COLUMNS} FROM batches AS b WHERE tenant = ? AND (? = '' OR (created_at, id) <
                    (SELECT created_at, id FROM batches WHERE id = ? AND tenant = b.tenant))
                    ORDER BY created_at DESC, id DESC LIMIT ?""",
                tenant,
                after,
                after,
                limit,
            )
        return [batch_of(row) for row in rows]

    def in_status(self, status: BatchStatus) -> list[Batch]:
        """Return all batches in a status, oldest first."""
        with self._database.transaction() as step:
            rows = step.rows(
                f"SELECT {BATCH_COLUMNS} FROM batches WHERE status = ? ORDER BY expires_at, id",
                status.value,
            )
        return [batch_of(row) for row in rows]

    def recover(self) -> None:
        """Take over from a process that died: nobody holds anything.

        Only for a store that one process has at a time; where several share one, claims and leases run out by themselves.
        """
        with self._database.transaction() as step:
            step.run("UPDATE batches SET holder = ''")
        self.items.recover()

    def claim(self, batch_id: str, holder: str, for_s: int) -> bool:
        """Take a batch's next move (validating, closing) for oneself for a while. False: another gateway is at it."""
        now = int(self._clock())
        with self._database.transaction() as step:
            return bool(
                step.run(
                    "UPDATE batches SET holder = ?, held_until = ?"
                    " WHERE id = ? AND (holder = '' OR holder = ? OR held_until <= ?)",
                    holder,
                    now + for_s,
                    batch_id,
                    holder,
                    now,
                )
            )

    def release(self, batch_id: str, holder: str) -> None:
        """The move is made."""
        with self._database.transaction() as step:
            step.run("UPDATE batches SET holder = '' WHERE id = ? AND holder = ?", batch_id, holder)

    def cancel(self, tenant: str, batch_id: str) -> Batch | None:
        """Stop giving out items of a batch; one that has ended stays as it is. None: there is no such batch."""
        with self._database.transaction() as step:
            batch = _find(step, batch_id, tenant)
            if batch is None or batch.status in ENDED:
                return batch
            self._move(step, batch, BatchStatus.CANCELLING)
            return _find(step, batch_id, tenant)

    # ---- its input ---------------------------------------------------------------------------------------------------

    def accept(self, batch_id: str, total: int) -> None:
        """Let the items of a validated batch be run."""
        with self._database.transaction() as step:
            batch = _find(step, batch_id)
            if batch is not None and batch.status is BatchStatus.VALIDATING:
                step.run("UPDATE batches SET total = ? WHERE id = ?", total, batch_id)
                self._move(step, batch, BatchStatus.IN_PROGRESS)

    def refuse(self, batch_id: str, errors: Sequence[LineError]) -> None:
        """End a batch whose input cannot be used, and say why."""
        with self._database.transaction() as step:
            batch = _find(step, batch_id)
            if batch is not None and batch.status is BatchStatus.VALIDATING:
                step.run("UPDATE batches SET errors = ? WHERE id = ?", text_of_errors(errors), batch_id)
                step.run("DELETE FROM items WHERE batch_id = ?", batch_id)
                self._move(step, batch, BatchStatus.FAILED)

    # ---- its end -----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Begin to close what is due: all items done, or the window over."""
        now = int(self._clock())
        for batch in self.in_status(BatchStatus.IN_PROGRESS):
            if batch.completed + batch.failed == batch.total or batch.expires_at <= now:
                with self._database.transaction() as step:
                    self._move(step, batch, BatchStatus.FINALIZING)

    def close(self, batch: Batch, status: BatchStatus, output: Draft | None, errors: Draft | None, failed: int) -> bool:
        """End a batch with its files, all at once; its items are not needed any more. False: it has ended already.

        `failed` counts those that never ran too.
        """
        with self._database.transaction() as step:
            current = _find(step, batch.id)
            if current is None or current.status in ENDED:
                return False
            step.run(
                "UPDATE batches SET output_file_id = ?, error_file_id = ?, failed = ? WHERE id = ?",
                output.publish(step).id if output else "",
                errors.publish(step).id if errors else "",
                failed,
                batch.id,
            )
            step.run("DELETE FROM items WHERE batch_id = ?", batch.id)
            self._move(step, current, status)
        return True

    def _move(self, step: Transaction, batch: Batch, status: BatchStatus) -> None:
        moments = {**batch.moments, status.value: int(self._clock())}
        step.run(
            "UPDATE batches SET status = ?, moments = ? WHERE id = ? AND status = ?",
            status.value,
            json.dumps(moments),
            batch.id,
            batch.status.value,
        )


def _find(step: Transaction, batch_id: str, tenant: str | None = None) -> Batch | None:
    rows = step.rows(f"SELECT {BATCH_COLUMNS} FROM batches WHERE id = ?", batch_id)
    batch = batch_of(rows[0]) if rows else None
    return None if batch is None or tenant not in {None, batch.order.tenant} else batch
