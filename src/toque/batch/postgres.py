"""PostgreSQL below the store: one server, several gateways. Imported by who has one only.

Law: a commit that returned is on the server's disk (`synchronous_commit` is on, whatever the server's default). No message
has the password. A connection that was lost is opened anew by the next transaction.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import cast

import psycopg
from psycopg.conninfo import conninfo_to_dict

from toque.batch.database import STORE_RETRY_S, Cell, Database, Row, StoreAwayError, StoreError, Transaction
from toque.batch.dialect import POSTGRES
from toque.model.errors import ConfigError

CONNECT_S = 5
AWAY_RETRY_S = 5.0
"""How long a caller should wait for a server that is restarting."""
SETTINGS = (
    "SET synchronous_commit = on",
    "SET lock_timeout = '10s'",  # a gateway that holds a row for longer has stopped
    "SET statement_timeout = '60s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)
MIGRATION_LOCK = 0x746F717565
"""The advisory lock that one migrating gateway has at a time: "toque" in ASCII."""


class PostgresDatabase(Database):
    """Connects and migrates. Raises `ConfigError` for a server that cannot be used. Used by one thread at a time."""

    dialect = POSTGRES

    def __init__(self, url: str) -> None:
        self._url = url
        self._name, self._password = self._read(url)
        self._connection: psycopg.Connection | None = None
        self._ahead_s = 0.0
        try:
            self.migrate()
        except StoreError as error:
            raise ConfigError(
                f"cannot use the job store {self._name}: {error.message}",
                fix="start that server, or correct jobs.store",
            ) from error

    def _read(self, url: str) -> tuple[str, str]:
        """Return a name without secrets, and the password, which must not be in any message."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error:
            raise ConfigError(
                "jobs.store is no URL of a PostgreSQL server", fix="write postgresql://USER@HOST:PORT/DATABASE"
            ) from None  # its message has parts of the URL
        name = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
        return name, str(parts.get("password") or "")

    def clock(self) -> float:
        """Return the server's wall clock: one for all gateways, and no jump of a machine's own clock is seen."""
        return time.monotonic() + self._ahead_s  # noqa: TID251 - carries the server's clock on between connections

    def prepare(self, step: Transaction) -> None:
        """Migrate one after the other."""
        step.rows("SELECT pg_advisory_xact_lock(?)", MIGRATION_LOCK)

    def keep_copy(self, version: int) -> None:
        """Nothing to do: a server has copies of its own, and a migration is one transaction."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin, over a fresh connection if the last one was lost."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        try:
            connection = self._connected()
            with connection.transaction():
                yield PostgresTransaction(connection)
        except psycopg.errors.DiskFull as error:
            raise StoreError(f"The job store is full ({self._words(error)}).", retry_after_s=STORE_RETRY_S) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            reason = f"The job store cannot be used now ({self._words(error)})."
            raise StoreAwayError(reason, retry_after_s=AWAY_RETRY_S) from None

    def _connected(self) -> psycopg.Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_S)
        for setting in SETTINGS:
            connection.execute(setting)
        found = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert found is not None
        self._ahead_s = float(found[0]) - time.monotonic()  # noqa: TID251 - see `clock`
        self._connection = connection
        return connection

    def _words(self, error: Exception) -> str:
        """Return the first line of what the server or its library says, without the password."""
        text = str(error).strip().partition("\n")[0][:300]
        return text.replace(self._password, "***") if self._password else text

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()


class PostgresTransaction(Transaction):
    """Statements on the one connection. Rows come as bytes, not as text: contents would be twice as long."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, *values: Cell) -> list[Row]:
        """Run a statement and return what it gives back."""
        return cast(list[Row], self._connection.execute(_translated(statement), values, binary=True).fetchall())

    def run(self, statement: str, *values: Cell) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(_translated(statement), values, binary=True).rowcount

    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of these rows."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(statement), rows)


@lru_cache(maxsize=128)  # the store has about fifty statements, and all of them are literals
def _translated(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
