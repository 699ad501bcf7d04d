"""One store for each story, on every database there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from toque.batch.database import Database
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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = SqliteDatabase(tmp_path / "jobs.sqlite")
    yield opened
    opened.close()
