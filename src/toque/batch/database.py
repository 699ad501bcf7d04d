"""The database below the store: transactions over SQLite or PostgreSQL, in the SQL both understand.

Law: a transaction that returned is on disk; one that raised left nothing. Everything here blocks, so nothing here is
called on the event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from toque.batch.dialect import SqlDialect
from toque.batch.schema import MIGRATIONS
from toque.model.errors import ConfigError, ToqueError

Cell: TypeAlias = str | int | bytes | None
Row: TypeAlias = Sequence[Cell]
SERVER = "postgresql://"
"""How the URL of a store begins that is no file."""
STORE_RETRY_S = 60.0
"""How long a caller whom a full disk turned away should wait: somebody has to make room first."""


class StoreError(ToqueError):
    """The store cannot be used now: its disk is full. Nothing of the transaction was kept."""

    status = 507
    type = "api_error"
    code = "insufficient_storage"


class StoreAwayError(StoreError):
    """The store's server cannot be reached, or is too busy. Whether a commit under way was kept is not known then."""

    status = 503
    type = "service_unavailable_error"
    code = "store_unavailable"


class Transaction(ABC):
    """Statements that hold together. Placeholders are `?`."""

    @abstractmethod
    def rows(self, statement: str, *values: Cell) -> list[Row]:
        """Run a statement and return what it gives back."""

    @abstractmethod
    def run(self, statement: str, *values: Cell) -> int:
        """Run a statement and return how many rows it changed."""

    @abstractmethod
    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of these rows."""


class Database(ABC):
    """One store, of one gateway or of several."""

    dialect: SqlDialect

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin, and commit at the end, or take everything back when it raises. Raises `StoreError`."""

    @abstractmethod
    def close(self) -> None:
        """End all connections."""

    @abstractmethod
    def prepare(self, step: Transaction) -> None:
        """Keep other gateways from migrating at the same time, where there can be any."""

    @abstractmethod
    def keep_copy(self, version: int) -> None:
        """Keep the store as it is, of this version, before it is changed; where nobody keeps it otherwise."""

    def migrate(self) -> None:
        """Bring the tables to this version. Raises `ConfigError` when they are of a later one; nothing is touched then."""
        with self.transaction() as step:
            version = self._version(step)
        if 0 < version < len(MIGRATIONS):
            self.keep_copy(version)
        with self.transaction() as step:
            version = self._version(step)
            for migration in MIGRATIONS[version:]:
                for statement in migration:
                    step.run(statement.format(blob=self.dialect.blob))
            if version == 0:
                step.run("INSERT INTO toque_schema (version) VALUES (?)", len(MIGRATIONS))
            elif version < len(MIGRATIONS):
                step.run("UPDATE toque_schema SET version = ?", len(MIGRATIONS))

    def _version(self, step: Transaction) -> int:
        self.prepare(step)
        step.run("CREATE TABLE IF NOT EXISTS toque_schema (version BIGINT NOT NULL)")
        found = step.rows("SELECT version FROM toque_schema")
        version = int(str(found[0][0])) if found else 0
        if version > len(MIGRATIONS):
            raise ConfigError(
                f"the job store has version {version}, and this toque knows up to {len(MIGRATIONS)}",
                fix="use the toque that wrote it, or another jobs.store",
            )
        return version
