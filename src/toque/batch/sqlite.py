"""SQLite below the store: one file, one connection, one writer.

Law: WAL with synchronous FULL: a commit that returned survives a loss of power. A page that is not what was written is
found when the store is opened, and said.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from toque.batch.database import STORE_RETRY_S, Cell, Database, Row, StoreError, Transaction
from toque.batch.dialect import SQLITE
from toque.model.errors import ConfigError

BUSY_S = 10.0
"""Another process of ours holds the lock for milliseconds; ten seconds mean that something is wrong."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SqliteTransaction(Transaction):
    """Statements on the one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, *values: Cell) -> list[Row]:
        """Run a statement and return what it gives back."""
        return self._connection.execute(statement, values).fetchall()

    def run(self, statement: str, *values: Cell) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of these rows."""
        self._connection.executemany(statement, rows)


class SqliteDatabase(Database):
    """Opens, checks and migrates. Raises `ConfigError` for a file that is damaged, foreign or not writable.

    Used by one thread at a time, which need not be the one that opened it. Before a migration the file is copied to
    `NAME.vN`, after the version it has.
    """

    dialect = SQLITE

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            for setting in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "auto_vacuum = INCREMENTAL",
            ):
                self._connection.execute(f"PRAGMA {setting}")
            self._check()
        except sqlite3.Error as error:
            raise ConfigError(
                f"cannot use the job store {path}: {error}",
                fix="restore it from a copy, or set jobs.store to another file",
            ) from error
        self.migrate()

    def _check(self) -> None:
        found = [str(row[0]) for row in self._connection.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise sqlite3.DatabaseError(f"it is damaged ({found[0][:200]})")

    def prepare(self, step: Transaction) -> None:
        """Nothing to do: whoever writes has the file to itself."""

    def keep_copy(self, version: int) -> None:
        """Copy the file beside itself; a copy that a migration before this one left there goes."""
        copy = self._path.with_name(f"{self._path.name}.v{version}")
        copy.unlink(missing_ok=True)
        self._connection.execute("VACUUM INTO ?", (str(copy),))

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin as the writer at once, so that two processes never wait for each other in a circle."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(self._connection)
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise StoreError(f"The job store cannot be written now ({error}).", retry_after_s=STORE_RETRY_S) from error
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _DAMAGED:
                raise
            raise StoreError(f"The job store is damaged ({error}); restore it from a copy.") from error

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
