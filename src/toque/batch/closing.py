"""The end of a batch: its items become an output file and an error file, in the order of the input.

Law: both files and the batch's last status appear in one commit, or none of them; one that was cut short is done anew.
"""

from collections.abc import Callable

from toque.batch.files import Draft, FileShelf
from toque.batch.jobs import JobStore
from toque.batch.rows import ItemState
from toque.batch.verdict import expired_line
from toque.model.batch import Batch, BatchStatus, Purpose

PAGE = 200
"""Items read at once: each may hold an answer of megabytes."""


def close_batch(store: JobStore, shelf: FileShelf, batch: Batch) -> None:
    """Write the files of a batch that is finalizing or cancelling, and end it."""
    output = _Sheet(lambda: shelf.draft(batch.order.tenant, Purpose.BATCH_OUTPUT, f"{batch.id}_output.jsonl"))
    errors = _Sheet(lambda: shelf.draft(batch.order.tenant, Purpose.BATCH_OUTPUT, f"{batch.id}_error.jsonl"))
    _copy(store, batch.id, ItemState.COMPLETED, output)
    _copy(store, batch.id, ItemState.FAILED, errors)
    status, failed = BatchStatus.CANCELLED, batch.failed
    if batch.status is BatchStatus.FINALIZING:
        expired = _expire(store, batch.id, errors)
        status = BatchStatus.EXPIRED if expired else BatchStatus.COMPLETED
        failed += expired
    if not store.close(batch, status, output.finished(), errors.finished(), failed):
        output.discard()
        errors.discard()


class _Sheet:
    """A file that is begun with its first line: without lines there is none."""

    def __init__(self, begin: Callable[[], Draft]) -> None:
        self._begin = begin
        self._draft: Draft | None = None

    def add(self, line: bytes) -> None:
        if self._draft is None:
            self._draft = self._begin()
        self._draft.write(line + b"\n")

    def finished(self) -> Draft | None:
        if self._draft is not None:
            self._draft.finish()
        return self._draft

    def discard(self) -> None:
        if self._draft is not None:
            self._draft.discard()


def _copy(store: JobStore, batch_id: str, state: ItemState, sheet: _Sheet) -> None:
    after = 0
    while page := store.items.results(batch_id, state, after, PAGE):
        for _, _, line in page:
            sheet.add(line)
        after = page[-1][0]


def _expire(store: JobStore, batch_id: str, sheet: _Sheet) -> int:
    """Write what never ran, and say how many there were."""
    count = 0
    for state in (ItemState.WAITING, ItemState.LEASED):
        after = 0
        while page := store.items.results(batch_id, state, after, PAGE):
            for number, custom_id, _ in page:
                sheet.add(expired_line(batch_id, number, custom_id))
            count += len(page)
            after = page[-1][0]
    return count
