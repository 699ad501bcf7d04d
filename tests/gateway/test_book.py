"""The book: what was used is written within a second, at the latest when the gateway closes, and nothing is lost or twice."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.wire.raw import until
from toque.gateway import book as module
from toque.gateway.book import Book
from toque.model.usage import Use
from toque.ports import UsageStore


class Memory(UsageStore):
    """A store that another gateway adds to, and whose disk may be full."""

    def __init__(self) -> None:
        self.days: dict[int, dict[str, Use]] = {}
        self.is_full = False
        self.writes = 0

    def add(self, day: int, uses: Mapping[str, Use]) -> Mapping[str, Use]:
        self.writes += 1
        if self.is_full:
            raise OSError("no space left")
        known = self.days.setdefault(day, {})
        known |= {tenant: known.get(tenant, Use()).plus(used) for tenant, used in uses.items()}
        return dict(known)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EACH_S", 0.01)


async def test_what_was_used_before_counts_and_what_others_use_is_learnt() -> None:
    store = Memory()
    store.add(7, {"alice": Use(5)})
    book = Book(store)
    await book.open(7)
    assert (book.total("alice", 7), book.total("alice", 8), book.total("bob", 7)) == (Use(5), Use(), Use())
    store.add(7, {"alice": Use(100)})
    book.add("alice", 7, Use(1, 0.5))
    assert book.total("alice", 7) == Use(6, 0.5)
    await until(lambda: book.total("alice", 7) == Use(106, 0.5))
    await book.close()
    assert store.days == {7: {"alice": Use(106, 0.5)}}


async def test_many_uses_are_one_writing_and_closing_waits_for_it() -> None:
    store = Memory()
    book = Book(store)
    for _ in range(1000):
        book.add("alice", 7, Use(1))
    await book.close()
    assert (store.days, store.writes) == ({7: {"alice": Use(1000)}}, 1)


async def test_what_a_full_disk_refuses_goes_with_the_next() -> None:
    store = Memory()
    book = Book(store)
    store.is_full = True
    book.add("alice", 7, Use(1))
    await until(lambda: store.writes == 1)
    book.add("alice", 7, Use(2))
    await until(lambda: store.writes == 2)
    assert book.total("alice", 7) == Use(3)
    store.is_full = False
    await book.close()
    assert store.days == {7: {"alice": Use(3)}}


async def test_a_new_day_begins_with_nothing_and_the_rest_of_the_old_one_is_of_no_use() -> None:
    store = Memory()
    book = Book(store)
    book.add("alice", 7, Use(1))
    book.add("alice", 8, Use(2))
    assert (book.total("alice", 7), book.total("alice", 8)) == (Use(), Use(2))
    await book.close()
    assert store.days == {8: {"alice": Use(2)}}


async def test_without_a_store_it_is_remembered_until_the_end() -> None:
    book = Book(None)
    await book.open(7)
    book.add("alice", 7, Use(1))
    assert book.total("alice", 7) == Use(1)
    await book.close()
    assert len(asyncio.all_tasks()) == 1
