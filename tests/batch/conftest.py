"""One store for each story, on every database there is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toque.batch.database import Database
from toque.batch.postgres import PostgresDatabase
from toque.batch.sqlite import SqliteDatabase


class Clock:
    """The wall clock of a story."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


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
