"""The batches of the store: ordered, validated, run, closed.

Law: a batch moves in one direction, and each move is one commit.
"""

import json
from collections.abc import Callable, Sequence

from toque.batch.claims import ClaimDesk, find_batch
from toque.batch.database import Database, Transaction
from toque.batch.files import Draft
from toque.batch.identity import new_id
from toque.batch.items import ItemStore
from toque.batch.rows import BATCH_COLUMNS, batch_of, text_of_errors
from toque.model.batch import ENDED, Batch, BatchOrder, BatchStatus, Claim, LineError

LEASE_S = 60
"""A gateway that says nothing about what it holds for this long is taken for dead; it says so three times in that time."""


class JobStore:
    """Keeps batches and their items for one or several gateways. `clock` is the wall clock in seconds. All of it blocks."""

    def __init__(self, database: Database, clock: Callable[[], float], lease_s: int = LEASE_S) -> None:
        self._database = database
        self._clock = clock
        self.lease_s = lease_s
        self.claims = ClaimDesk(database, clock, lease_s)
        self.items = ItemStore(database, clock, self.claims, lease_s)

    def now(self) -> int:
        """Return the wall clock of everybody who has this store, in whole seconds."""
        return int(self._clock())

    # ---- batches -----------------------------------------------------------------------------------------------------

    def create(self, order: BatchOrder) -> Batch:
        """Accept a batch; its input is looked at next."""
        now = self.now()
        moments = {BatchStatus.VALIDATING.value: now}
        batch = Batch(new_id("batch"), order, BatchStatus.VALIDATING, moments, now + order.window_s)
        with self._database.transaction() as step:
            step.run(
                f"INSERT INTO batches ({BATCH_COLUMNS})"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, '', '', '[]', '', ?, 0, 0, 0, 0)",
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
                order.output_life_s,
            )
        return batch

    def find(self, tenant: str, batch_id: str) -> Batch | None:
        """Return the tenant's batch of this name."""
        with self._database.transaction() as step:
            return _of_tenant(find_batch(step, batch_id), tenant)

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

    def cancel(self, tenant: str, batch_id: str) -> Batch | None:
        """Stop giving out items of a batch; one that has ended stays as it is. None: there is no such batch."""
        with self._database.transaction() as step:
            batch = _of_tenant(find_batch(step, batch_id, lock=self._database.dialect.for_update), tenant)
            if batch is None or batch.status in ENDED:
                return batch
            self._move(step, batch, BatchStatus.CANCELLING)
            return find_batch(step, batch_id)

    # ---- its input ---------------------------------------------------------------------------------------------------

    def accept(self, claim: Claim, total: int, model: str = "") -> None:
        """Let the items of a validated batch be run. Raises `ClaimLostError`, as `refuse`."""
        with self._database.transaction() as step:
            batch = self._claimed(step, claim)
            if batch is not None and batch.status is BatchStatus.VALIDATING:
                step.run("UPDATE batches SET total = ?, model = ? WHERE id = ?", total, model, batch.id)
                self._move(step, batch, BatchStatus.IN_PROGRESS)

    def refuse(self, claim: Claim, errors: Sequence[LineError]) -> None:
        """End a batch whose input cannot be used, and say why."""
        with self._database.transaction() as step:
            batch = self._claimed(step, claim)
            if batch is not None and batch.status is BatchStatus.VALIDATING:
                step.run("UPDATE batches SET errors = ? WHERE id = ?", text_of_errors(errors), batch.id)
                step.run("DELETE FROM items WHERE batch_id = ?", batch.id)
                self._move(step, batch, BatchStatus.FAILED)

    def _claimed(self, step: Transaction, claim: Claim) -> Batch | None:
        self.claims.use(step, claim)
        return find_batch(step, claim.batch.id)

    # ---- its end -----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Begin to close what is due: all items done, or the window over."""
        now = self.now()
        for batch in self.in_status(BatchStatus.IN_PROGRESS):
            if batch.completed + batch.failed == batch.total or batch.expires_at <= now:
                with self._database.transaction() as step:
                    self._move(step, batch, BatchStatus.FINALIZING)

    def close(self, batch: Batch, status: BatchStatus, output: Draft | None, errors: Draft | None, failed: int) -> bool:
        """End a batch with its files, all at once; its items are not needed any more.

        `failed` counts those that never ran too. False: it has ended already, or a result came since `batch` was looked
        at, which the files do not have.
        """
        with self._database.transaction() as step:
            current = find_batch(step, batch.id, lock=self._database.dialect.for_update)
            if current is None or current.status in ENDED:
                return False
            if (current.completed, current.failed) != (batch.completed, batch.failed):
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
        moments = {**batch.moments, status.value: self.now()}
        step.run(
            "UPDATE batches SET status = ?, moments = ? WHERE id = ? AND status = ?",
            status.value,
            json.dumps(moments),
            batch.id,
            batch.status.value,
        )


def _of_tenant(batch: Batch | None, tenant: str) -> Batch | None:
    return batch if batch is not None and batch.order.tenant == tenant else None
