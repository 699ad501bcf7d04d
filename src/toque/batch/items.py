"""The items of batches in the store: added, leased, renewed, settled.

Law: an item has one result, the first that comes with the item's latest token; counts change in the transaction that
changes the item, so that they are right at any instant. A transaction locks its batches, in order, before their items.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from toque.batch.claims import ClaimDesk, find_batch
from toque.batch.database import Database, Transaction
from toque.batch.rows import ItemState, Outcome, bytes_of, lease_of
from toque.model.batch import Batch, BatchStatus, Claim, Item, Lease

_TAKES_RESULTS = frozenset({BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING})


class ItemStore:
    """Keeps the items of all batches. `clock` is the wall clock in seconds. All of it blocks."""

    def __init__(self, database: Database, clock: Callable[[], float], claims: ClaimDesk, lease_s: int) -> None:
        self._database = database
        self._clock = clock
        self._claims = claims
        self._lease_s = lease_s

    def begin(self, claim: Claim) -> None:
        """Forget the items of a validation that was interrupted. Raises `ClaimLostError`, as `add`."""
        with self._database.transaction() as step:
            self._claims.use(step, claim)
            step.run("DELETE FROM items WHERE batch_id = ?", claim.batch.id)

    def add(self, claim: Claim, items: Sequence[Item]) -> None:
        """Add the next items; nothing runs before the batch is accepted."""
        rows = [(claim.batch.id, item.line, item.custom_id, item.body, ItemState.WAITING.value) for item in items]
        with self._database.transaction() as step:
            self._claims.use(step, claim)
            step.run_many(
                "INSERT INTO items (batch_id, line, custom_id, body, state, token, attempts, due_at)"
                " VALUES (?, ?, ?, ?, ?, 0, 0, 0)",
                rows,
            )

    def lease(self, batches: Sequence[Batch], limit: int) -> list[Lease]:
        """Give out up to `limit` items that are due, of the first of these batches; also those whose lease ran out.

        A lease that ran out gets a new token with its new holder, so that a late result of the old one is dropped.
        """
        now = int(self._clock())
        leases: list[Lease] = []
        for batch in batches:
            if len(leases) == limit:
                break
            if batch.expires_at > now:
                leases += self._lease_of(batch, limit - len(leases), now)
        return leases

    def _lease_of(self, batch: Batch, limit: int, now: int) -> list[Lease]:
        with self._database.transaction() as step:
            current = find_batch(step, batch.id, lock=self._database.dialect.for_share)
            if current is None or current.status is not BatchStatus.IN_PROGRESS:
                return []  # another gateway saw to it since we looked
            leases = self._take(step, batch, ItemState.WAITING, limit, now)
            if len(leases) < limit:
                leases += self._take(step, batch, ItemState.LEASED, limit - len(leases), now)
        return leases

    def _take(self, step: Transaction, batch: Batch, state: ItemState, limit: int, now: int) -> list[Lease]:
        """Lease items that are in a state; a list taken first, for a plan may look at a subquery again and again."""
        until = now + self._lease_s
        rows = step.rows(
            f"""WITH due AS MATERIALIZED (
                    SELECT line FROM items WHERE batch_id = ? AND state = ? AND due_at <= ?
                    ORDER BY line LIMIT ? {self._database.dialect.skip_locked})
                UPDATE items SET state = ?, token = token + 1, attempts = attempts + 1, due_at = ?
                WHERE batch_id = ? AND line IN (SELECT line FROM due)
                RETURNING line, custom_id, body, token, attempts""",
            batch.id,
            state.value,
            now,
            limit,
            ItemState.LEASED.value,
            until,
            batch.id,
        )
        leases = [lease_of(batch, row, until) for row in rows]
        return sorted(leases, key=lambda lease: lease.item.line)

    def recover(self) -> None:
        """Put back what a process that died had leased; its attempts do not count against the items."""
        with self._database.transaction() as step:
            step.run(
                "UPDATE items SET state = ?, due_at = 0, attempts = attempts - 1 WHERE state = ?",
                ItemState.WAITING.value,
                ItemState.LEASED.value,
            )

    def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Keep leases for longer; return those that are still their holder's, with their new end."""
        until = int(self._clock()) + self._lease_s
        with self._database.transaction() as step:
            for batch_id in sorted({lease.batch_id for lease in leases}):
                find_batch(step, batch_id, lock=self._database.dialect.for_share)
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

    def is_short(self, lease: Lease) -> bool:
        """Whether less than half of a lease's time is left."""
        return lease.until - self._clock() < self._lease_s / 2

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Keep what became of items, all in one commit.

        False for one that came too late: another has it or has done it, or its batch takes no results any more.
        """
        with self._database.transaction() as step:
            open_batches = {
                batch_id
                for batch_id in sorted({outcome.lease.batch_id for outcome in outcomes})
                if self._takes_results(step, batch_id)
            }
            kept = [outcome.lease.batch_id in open_batches and self._settle(step, outcome) for outcome in outcomes]
            for batch_id in sorted(open_batches):
                _count(step, batch_id, [o for o, is_kept in zip(outcomes, kept, strict=True) if is_kept])
        return kept

    def _takes_results(self, step: Transaction, batch_id: str) -> bool:
        batch = find_batch(step, batch_id, lock=self._database.dialect.for_update)
        return batch is not None and batch.status in _TAKES_RESULTS

    def _settle(self, step: Transaction, outcome: Outcome) -> bool:
        lease = outcome.lease
        return bool(
            step.run(
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
            )
        )

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


def _count(step: Transaction, batch_id: str, kept: Sequence[Outcome]) -> None:
    """Add what was kept to the counts of a batch."""
    done = [outcome for outcome in kept if outcome.lease.batch_id == batch_id]
    completed = [outcome.tokens for outcome in done if outcome.state is ItemState.COMPLETED]
    failed = sum(outcome.state is ItemState.FAILED for outcome in done)
    if not completed and not failed:
        return
    step.run(
        "UPDATE batches SET completed = completed + ?, failed = failed + ?, input_tokens = input_tokens + ?,"
        " cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ?, reasoning_tokens = reasoning_tokens + ?"
        " WHERE id = ?",
        len(completed),
        failed,
        sum(tokens.input for tokens in completed),
        sum(tokens.cached for tokens in completed),
        sum(tokens.output for tokens in completed),
        sum(tokens.reasoning for tokens in completed),
        batch_id,
    )
