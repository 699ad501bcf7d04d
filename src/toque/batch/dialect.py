"""The words in which SQLite and PostgreSQL differ.

Law: a statement that needs one of them takes it from here; nothing else of the store knows which database it has.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """`blob`: the type of bytes. The others end a SELECT: `for_update` and `for_share` keep its rows from being changed by

    others until the transaction ends; `skip_locked` takes the rows and passes over those that others are taking.
    """

    blob: str
    for_update: str = ""
    for_share: str = ""
    skip_locked: str = ""


SQLITE = SqlDialect("BLOB")
"""A transaction has the whole file to itself: there is nothing to lock."""
POSTGRES = SqlDialect("BYTEA", "FOR UPDATE", "FOR SHARE", "FOR UPDATE SKIP LOCKED")
