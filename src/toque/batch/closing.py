"""The end of a batch: its items become an output file and an error file, in the order of the input.

Law: both files and the batch's last status appear in one commit, or none of them; one that was cut short is done anew.
"""

from collections.abc import Callable, Iterator

from toque.batch.files import Draft, FileShelf
from toque.batch.jobs import JobStore
from toque.batch.rows import ItemState
from toque.batch.verdict import expired_line
from toque.model.batch import BatchStatus, Claim, Purpose

PAGE = 200
"""Items read at once: each may hold an answer of megabytes."""


def close_batch(store: JobStore, shelf: FileShelf, claim: Claim) -> None:
    """Write the files of a batch that is finalizing or cancelling, and end it. Raises `ClaimLostError`."""
    batch = claim.batch

    def begin(kind: str) -> Draft:
        order = batch.order
        return shelf.draft(order.tenant, Purpose.BATCH_OUTPUT, f"{batch.id}_{kind}.jsonl", order.output_life_s)

    output, errors = _Sheet(lambda: begin("output")), _Sheet(lambda: begin("error"))
    _copy(store, claim, ItemState.COMPLETED, output)
    _copy(store, claim, ItemState.FAILED, errors)
    status, failed = BatchStatus.CANCELLED, batch.failed
    if batch.status is BatchStatus.FINALIZING:
        expired = _expire(store, claim, errors)
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


def _copy(store: JobStore, claim: Claim, state: ItemState, sheet: _Sheet) -> None:
    for _, _, line in _pages(store, claim, state):
        sheet.add(line)


def _expire(store: JobStore, claim: Claim, sheet: _Sheet) -> int:
    """Write what never ran, and say how many there were."""
    count = 0
    for state in (ItemState.WAITING, ItemState.LEASED):
        for number, custom_id, _ in _pages(store, claim, state):
            sheet.add(expired_line(claim.batch.id, number, custom_id))
            count += 1
    return count


def _pages(store: JobStore, claim: Claim, state: ItemState) -> Iterator[tuple[int, str, bytes]]:
    after = 0
    while page := store.items.results(claim.batch.id, state, after, PAGE):
        yield from page
        after = page[-1][0]
        store.claims.keep(claim)
