"""Batches: every item has one result, counts are right at any instant, and who comes late is dropped."""

import pytest

from tests.batch.scripted import Clock
from toque.batch.claims import ClaimLostError
from toque.batch.database import Database
from toque.batch.files import FileShelf
from toque.batch.jobs import LEASE_S, JobStore
from toque.batch.rows import ItemState, Outcome
from toque.model.batch import Batch, BatchOrder, BatchStatus, Claim, Item, Lease, LineError, Purpose, TokenCounts
from toque.model.errors import CallerError


@pytest.fixture
def store(database: Database, clock: Clock) -> JobStore:
    return JobStore(database, clock)


def ordered(store: JobStore, items: int = 3, *, tenant: str = "ann", window_s: int = 86_400) -> Batch:
    """Return a batch whose items may be run."""
    batch = store.create(BatchOrder(tenant, "/v1/chat/completions", "file-x", "24h", window_s, {"team": "blue"}))
    claim = claimed(store, batch)
    store.items.begin(claim)
    store.items.add(claim, [Item(line, f"item-{line}", b'{"n":%d}' % line) for line in range(1, items + 1)])
    store.accept(claim, items, "chat")
    store.claims.release(claim)
    return batch


def claimed(store: JobStore, batch: Batch, holder: str = "here") -> Claim:
    """Return the right to validate a batch."""
    claim = store.claims.take(batch.id, BatchStatus.VALIDATING, holder)
    assert claim is not None
    return claim


def leased(store: JobStore, limit: int) -> list[Lease]:
    return store.items.lease(store.in_status(BatchStatus.IN_PROGRESS), limit)


def settle(store: JobStore, lease: Lease, state: ItemState, output_line: bytes) -> bool:
    return store.items.settle([Outcome(lease, state, output_line)]) == [True]


def counts(store: JobStore, batch: Batch) -> tuple[str, int, int, int]:
    found = store.find(batch.order.tenant, batch.id)
    assert found is not None
    return found.status.value, found.total, found.completed, found.failed


def test_a_batch_is_validated_run_and_closed_in_the_order_of_its_input(
    store: JobStore, database: Database, clock: Clock
) -> None:
    batch = ordered(store)
    assert counts(store, batch) == ("in_progress", 3, 0, 0)
    leases = leased(store, 10)
    assert [(lease.item.custom_id, lease.item.body, lease.token, lease.attempts) for lease in leases] == [
        ("item-1", b'{"n":1}', 1, 1),
        ("item-2", b'{"n":2}', 1, 1),
        ("item-3", b'{"n":3}', 1, 1),
    ]
    for lease in reversed(leases):
        state = ItemState.FAILED if lease.item.line == 2 else ItemState.COMPLETED
        assert settle(store, lease, state, b"answer %d" % lease.item.line)
    store.advance()
    assert counts(store, batch) == ("finalizing", 3, 2, 1)
    assert store.items.results(batch.id, ItemState.COMPLETED, 0, 1) == [(1, "item-1", b"answer 1")]
    assert store.items.results(batch.id, ItemState.COMPLETED, 1, 9) == [(3, "item-3", b"answer 3")]
    output = FileShelf(database, clock).draft("ann", Purpose.BATCH_OUTPUT, "output.jsonl")
    output.write(b"answer 1\nanswer 3\n")
    output.finish()
    (closing,) = store.in_status(BatchStatus.FINALIZING)
    assert store.close(closing, BatchStatus.COMPLETED, output, None, failed=1)
    found = store.find("ann", batch.id)
    assert found is not None
    assert found.output_file_id
    assert not found.error_file_id
    assert found.order.metadata == {"team": "blue"}
    assert list(found.moments) == ["validating", "in_progress", "finalizing", "completed"]
    assert store.items.results(batch.id, ItemState.COMPLETED, 0, 9) == []


def test_an_item_is_leased_to_one_at_a_time(store: JobStore) -> None:
    ordered(store)
    assert [lease.item.line for lease in leased(store, 2)] == [1, 2]
    assert [lease.item.line for lease in leased(store, 2)] == [3]
    assert leased(store, 2) == []


def test_b11_b12_a_lease_that_ran_out_goes_to_another_and_the_late_result_is_dropped(
    store: JobStore, clock: Clock
) -> None:
    batch = ordered(store, 1)
    (stalled,) = leased(store, 1)
    clock.now += LEASE_S
    (fresh,) = leased(store, 1)
    assert (fresh.token, fresh.attempts) == (2, 2)
    assert store.items.renew([stalled]) == []
    assert not settle(store, stalled, ItemState.COMPLETED, b"late")
    assert settle(store, fresh, ItemState.COMPLETED, b"good")
    assert not settle(store, fresh, ItemState.COMPLETED, b"twice")
    assert counts(store, batch) == ("in_progress", 1, 1, 0)
    assert store.items.results(batch.id, ItemState.COMPLETED, 0, 9) == [(1, "item-1", b"good")]


def test_a_lease_that_is_extended_stays_with_its_holder(store: JobStore, clock: Clock) -> None:
    ordered(store, 1)
    (lease,) = leased(store, 1)
    clock.now += LEASE_S - 1
    assert store.items.is_short(lease)
    (renewed,) = store.items.renew([lease])
    assert not store.items.is_short(renewed)
    clock.now += LEASE_S - 1
    assert leased(store, 1) == []


def test_b07_what_was_not_the_items_fault_does_not_count_as_an_attempt(store: JobStore, clock: Clock) -> None:
    ordered(store, 1)
    (lease,) = leased(store, 1)
    assert store.items.settle([Outcome(lease, ItemState.WAITING, after_s=30, counts=False)]) == [True]
    assert store.items.settle([Outcome(lease, ItemState.WAITING, after_s=30, counts=False)]) == [False]
    assert leased(store, 1) == []
    clock.now += 30
    (again,) = leased(store, 1)
    assert (again.attempts, again.token) == (1, 2)
    assert store.items.settle([Outcome(again, ItemState.WAITING)]) == [True]
    assert leased(store, 1)[0].attempts == 2


def test_b08_a_cancelled_batch_gives_out_nothing_more_but_takes_what_is_under_way(store: JobStore) -> None:
    batch = ordered(store)
    (lease,) = leased(store, 1)
    cancelled = store.cancel("ann", batch.id)
    assert cancelled is not None
    assert cancelled.status is BatchStatus.CANCELLING
    assert leased(store, 9) == []
    assert settle(store, lease, ItemState.COMPLETED, b"answer")
    assert counts(store, batch) == ("cancelling", 3, 1, 0)
    assert not store.close(cancelled, BatchStatus.CANCELLED, None, None, failed=0)  # a result came since
    (closing,) = store.in_status(BatchStatus.CANCELLING)
    assert store.close(closing, BatchStatus.CANCELLED, None, None, failed=0)
    assert counts(store, batch) == ("cancelled", 3, 1, 0)
    again = store.cancel("ann", batch.id)
    assert again is not None
    assert again.status is BatchStatus.CANCELLED
    assert store.cancel("bob", batch.id) is None


def test_b09_a_batch_whose_window_is_over_gives_out_nothing_and_is_closed(store: JobStore, clock: Clock) -> None:
    batch = ordered(store, window_s=100)
    clock.now += 100
    assert leased(store, 9) == []
    store.advance()
    assert counts(store, batch) == ("finalizing", 3, 0, 0)


def test_b10_an_input_that_is_refused_says_where(store: JobStore) -> None:
    batch = store.create(BatchOrder("ann", "/v1/chat/completions", "file-x", "24h", 86_400))
    claim = claimed(store, batch)
    store.items.add(claim, [Item(1, "a", b"{}")])
    store.refuse(claim, [LineError("invalid_json", "Line 2 is not JSON.", 2)])
    found = store.find("ann", batch.id)
    assert found is not None
    assert found.status is BatchStatus.FAILED
    assert found.errors == (LineError("invalid_json", "Line 2 is not JSON.", 2),)
    assert store.items.results(batch.id, ItemState.WAITING, 0, 9) == []


def test_a_validation_that_was_interrupted_begins_anew(store: JobStore) -> None:
    batch = store.create(BatchOrder("ann", "/v1/chat/completions", "file-x", "24h", 86_400))
    claim = claimed(store, batch)
    store.items.add(claim, [Item(1, "a", b"{}")])
    store.items.begin(claim)
    store.items.add(claim, [Item(1, "a", b"{}")])
    store.accept(claim, 1)
    assert len(leased(store, 9)) == 1


def test_batches_that_end_first_are_served_first(store: JobStore) -> None:
    late = ordered(store, 1, window_s=5000)
    soon = ordered(store, 1, window_s=1000)
    assert [lease.batch_id for lease in leased(store, 9)] == [soon.id, late.id]


def test_a_list_of_batches_goes_on_behind_the_last_one_seen(store: JobStore, clock: Clock) -> None:
    ids = []
    for _ in range(4):
        clock.now += 1
        ids.insert(0, ordered(store, 1).id)
    ordered(store, 1, tenant="bob")
    first = store.all_of("ann", limit=3)
    assert [batch.id for batch in first + store.all_of("ann", after=first[-1].id)] == ids


def test_the_next_move_of_a_batch_is_one_gateways_alone(store: JobStore, clock: Clock) -> None:
    batch = store.create(BatchOrder("ann", "/v1/chat/completions", "file-x", "24h", 86_400))
    here = claimed(store, batch)
    claimed(store, batch)
    assert store.claims.take(batch.id, BatchStatus.VALIDATING, "there") is None
    clock.now += LEASE_S - 1
    store.claims.keep(here)
    clock.now += LEASE_S - 1
    assert store.claims.take(batch.id, BatchStatus.VALIDATING, "there") is None
    clock.now += 1
    there = claimed(store, batch, "there")
    store.items.add(there, [Item(1, "a", b"{}")])
    with pytest.raises(ClaimLostError):
        store.items.begin(here)
    with pytest.raises(ClaimLostError):
        store.accept(here, 7)
    store.accept(there, 1)
    assert counts(store, batch) == ("in_progress", 1, 0, 0)
    store.claims.release(there)
    assert store.claims.take(batch.id, BatchStatus.VALIDATING, "here") is None  # that move is made


def test_b08_a_batch_with_a_live_lease_is_still_at_work(store: JobStore, clock: Clock) -> None:
    batch = ordered(store)
    assert not store.items.is_at_work(batch.id)
    leased(store, 1)
    assert store.items.is_at_work(batch.id)
    clock.now += LEASE_S
    assert not store.items.is_at_work(batch.id)


def test_b13_the_input_of_a_batch_that_has_not_ended_cannot_be_deleted(
    store: JobStore, database: Database, clock: Clock
) -> None:
    shelf = FileShelf(database, clock)
    stored = shelf.put("ann", Purpose.BATCH, "in.jsonl", [b"{}"])
    batch = store.create(BatchOrder("ann", "/v1/chat/completions", stored.id, "24h", 86_400))
    with pytest.raises(CallerError, match="cancel it first"):
        shelf.remove("ann", stored.id)
    store.refuse(claimed(store, batch), [LineError("empty_file", "")])
    assert shelf.remove("ann", stored.id)


def test_b01_whoever_takes_a_store_over_runs_at_once_what_the_dead_had_begun(store: JobStore) -> None:
    batch = ordered(store, 2)
    (before, _) = leased(store, 9)
    assert store.claims.take(batch.id, BatchStatus.IN_PROGRESS, "dead")
    store.recover()
    assert store.claims.take(batch.id, BatchStatus.IN_PROGRESS, "alive")
    leases = leased(store, 9)
    assert [(lease.item.line, lease.token, lease.attempts) for lease in leases] == [(1, 2, 1), (2, 2, 1)]
    assert not settle(store, before, ItemState.COMPLETED, b"late")


def test_results_of_a_batch_that_takes_none_any_more_are_dropped(store: JobStore, clock: Clock) -> None:
    batch = ordered(store, 2, window_s=100)
    (lease, _) = leased(store, 9)
    clock.now += 100
    store.advance()
    assert not settle(store, lease, ItemState.COMPLETED, b"late")
    assert counts(store, batch) == ("finalizing", 2, 0, 0)


def test_tokens_of_answers_add_up(store: JobStore) -> None:
    batch = ordered(store, 2)
    tokens = TokenCounts(10, 4, 20, 3)
    assert all(
        store.items.settle([Outcome(lease, ItemState.COMPLETED, b"{}", tokens=tokens) for lease in leased(store, 9)])
    )
    found = store.find("ann", batch.id)
    assert found is not None
    assert (found.model, found.tokens) == ("chat", TokenCounts(20, 8, 40, 6))
