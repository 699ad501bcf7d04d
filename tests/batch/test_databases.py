"""What only one of the databases can do, or can go wrong with."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.batch.scripted import Clock
from tests.postgres import PostgresServer, postgres
from toque.batch.database import StoreAwayError
from toque.batch.files import FileShelf
from toque.batch.jobs import JobStore
from toque.batch.postgres import PostgresDatabase
from toque.batch.schema import MIGRATIONS
from toque.batch.sqlite import SqliteDatabase
from toque.model.batch import BatchOrder, BatchStatus, Item, Lease, Purpose
from toque.model.errors import ConfigError

CANARY = "sk-CANARY-p4ss"


@pytest.fixture
def fragile() -> Iterator[PostgresServer]:
    """A server of one story's own, which may be stopped."""
    with postgres() as running:
        yield running


def test_l14_an_older_store_is_migrated_and_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE toque_schema (version BIGINT NOT NULL)")
        old.execute("INSERT INTO toque_schema VALUES (1)")
        for statement in MIGRATIONS[0]:
            old.execute(statement.format(blob="BLOB"))
        old.execute("INSERT INTO files VALUES ('file-x', 'ann', 'batch', 'a.jsonl', 0, 'digest', 1)")
        old.commit()
    with closing(SqliteDatabase(path)) as migrated:
        (stored,) = FileShelf(migrated, Clock()).all_of("ann")
    assert (stored.id, stored.expires_at) == ("file-x", 0)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite.v1")) as copy:
        assert copy.execute("SELECT version FROM toque_schema").fetchall() == [(1,)]
        assert copy.execute("SELECT id FROM files").fetchall() == [("file-x",)]
    SqliteDatabase(path).close()
    assert not (tmp_path / f"jobs.sqlite.v{len(MIGRATIONS)}").exists()


def test_gateways_that_start_together_migrate_one_after_the_other(postgres_server: PostgresServer) -> None:
    url = postgres_server.database()
    with ThreadPoolExecutor(4) as threads:
        for database in threads.map(PostgresDatabase, [url] * 8):
            database.close()


def test_many_gateways_that_lease_at_once_get_each_item_once(postgres_server: PostgresServer) -> None:
    url = postgres_server.database()
    with closing(PostgresDatabase(url)) as database:
        store = JobStore(database, database.clock)
        batch = store.create(BatchOrder("ann", "/v1/chat/completions", "file-x", "24h", 86_400))
        claim = store.claims.take(batch.id, BatchStatus.VALIDATING, "here")
        assert claim is not None
        store.items.add(claim, [Item(line, f"item-{line}", b"{}") for line in range(1, 401)])
        store.accept(claim, 400)

    def drain(_: int) -> list[Lease]:
        with closing(PostgresDatabase(url)) as database:
            store = JobStore(database, database.clock)
            taken: list[Lease] = []
            while leases := store.items.lease(store.in_status(BatchStatus.IN_PROGRESS), 7):
                taken += leases
            return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [lease for leases in threads.map(drain, range(4)) for lease in leases]
    assert sorted(lease.item.line for lease in taken) == list(range(1, 401))
    assert {lease.token for lease in taken} == {1}


def test_all_gateways_go_by_the_clock_of_the_server(postgres_server: PostgresServer) -> None:
    url = postgres_server.database()
    with closing(PostgresDatabase(url)) as here, closing(PostgresDatabase(url)) as there:
        assert here.clock() == pytest.approx(there.clock(), abs=1)
        with here.transaction() as step:
            (row,) = step.rows("SELECT extract(epoch FROM now())::bigint")
        assert here.clock() == pytest.approx(int(str(row[0])), abs=5)


@pytest.mark.slow
def test_a_server_that_was_away_is_used_again_as_soon_as_it_is_back(fragile: PostgresServer) -> None:
    with closing(PostgresDatabase(fragile.database())) as database:
        shelf = FileShelf(database, Clock())
        kept = shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"{}"])
        fragile.stop()
        for _ in range(2):  # the connection breaks, and then there is none
            with pytest.raises(StoreAwayError, match="cannot be used now"):
                shelf.all_of("ann")
        fragile.start()
        assert shelf.all_of("ann") == [kept]


def test_s11_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        PostgresDatabase(f"postgresql://ann:{CANARY}@127.0.0.1:1/jobs")
    assert "127.0.0.1:1/jobs" in str(refused.value)
    assert CANARY not in str(refused.value)
    with pytest.raises(ConfigError, match="no URL of a PostgreSQL server") as refused:
        PostgresDatabase(f"postgresql://ann@h/jobs?pasword={CANARY}")
    assert CANARY not in str(refused.value)
