"""One store for each story, on every database there is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.batch.scripted import Clock, House
from toque.batch.database import Database
from toque.batch.postgres import PostgresDatabase
from toque.batch.sqlite import SqliteDatabase


@pytest.fixture
def clock() -> Clock:
    return Clock()


Reopen = Callable[[], Database]


@pytest.fixture(params=["sqlite", "postgres"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Open the store of the story, as one more gateway does."""
    opened: list[Database] = []
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_server").database()

    def reopen() -> Database:
        opened.append(PostgresDatabase(url) if url else SqliteDatabase(tmp_path / "jobs.sqlite"))
        return opened[-1]

    yield reopen
    for database in opened:
        database.close()


@pytest.fixture
def database(reopen: Reopen) -> Database:
    return reopen()


@pytest.fixture
def house(database: Database, clock: Clock) -> House:
    return House(database, clock)
