"""Rows of the store to words, and back.

Law: nothing here decides; a row that is not of the form was not written by us and raises.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from toque.batch.database import Cell, Row
from toque.model.batch import Batch, BatchOrder, BatchStatus, Item, Lease, LineError, TokenCounts

BATCH_COLUMNS = (
    "id, tenant, endpoint, input_file_id, completion_window, window_s, metadata, status, moments, created_at, expires_at,"
    " total, completed, failed, output_file_id, error_file_id, errors, model, output_life_s,"
    " input_tokens, cached_tokens, output_tokens, reasoning_tokens"
)


class ItemState(StrEnum):
    """Where an item is."""

    WAITING = "waiting"
    LEASED = "leased"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a leased item: done (completed or failed) with its output line, or to be run again `after_s`.

    Without `counts` the attempt was not the item's fault.
    """

    lease: Lease
    state: ItemState
    output_line: bytes | None = None
    after_s: float = 0.0
    counts: bool = True
    tokens: TokenCounts = field(default_factory=TokenCounts)


def batch_of(row: Row) -> Batch:
    """Turn a row of `BATCH_COLUMNS` into a batch."""
    texts = [str(cell) for cell in row]
    batch_id, tenant, endpoint, input_file_id, window, window_s, metadata, status, moments, _, expires_at = texts[:11]
    total, completed, failed, output_file_id, error_file_id, errors, model, output_life_s = texts[11:19]
    return Batch(
        id=batch_id,
        order=BatchOrder(
            tenant, endpoint, input_file_id, window, int(window_s), json.loads(metadata), int(output_life_s)
        ),
        status=BatchStatus(status),
        moments=json.loads(moments),
        expires_at=int(expires_at),
        total=int(total),
        completed=int(completed),
        failed=int(failed),
        output_file_id=output_file_id,
        error_file_id=error_file_id,
        errors=tuple(LineError(**error) for error in json.loads(errors)),
        model=model,
        tokens=TokenCounts(*map(int, texts[19:])),
    )


def text_of_errors(errors: Sequence[LineError]) -> str:
    """Return errors as `batch_of` reads them."""
    return json.dumps([asdict(error) for error in errors])


def lease_of(batch: Batch, row: Row, until: int) -> Lease:
    """Turn a row of line, custom id, body, token and attempts into a lease."""
    line, custom_id, body, token, attempts = row
    item = Item(int(str(line)), str(custom_id), bytes_of(body))
    return Lease(batch.id, batch.order.tenant, batch.order.endpoint, item, int(str(token)), int(str(attempts)), until)


def bytes_of(cell: Cell) -> bytes:
    """Return a cell of bytes."""
    assert isinstance(cell, bytes)
    return cell
