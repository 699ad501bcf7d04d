"""The files of the store: whole or not there.

Law: a file is seen once its last piece and its digest are on disk together; what is read is compared with the digest.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from toque.batch.database import Database, Row, Transaction
from toque.batch.identity import new_id
from toque.batch.rows import bytes_of
from toque.model.batch import Purpose, StoredFile
from toque.model.errors import CallerError, InternalError

PIECE_BYTES = 2**20
"""Each piece is a commit: large enough that waiting for the disk does not count, small enough that nobody else waits long."""
DRAFT_S_MAX = 24 * 3600
"""A draft older than this has lost its writer, whoever that was."""
SWEPT_AT_ONCE = 20
"""Files that one sweep removes, so that nobody else waits long for the store."""

_COLUMNS = "id, tenant, purpose, filename, size_bytes, sha256, created_at, expires_at"
_IS_THERE = "sha256 <> '' AND (expires_at = 0 OR expires_at > ?)"


class FileShelf:
    """Keeps files. `clock` is the wall clock in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def put(
        self, tenant: str, purpose: Purpose, filename: str, content: Iterable[bytes], life_s: int = 0
    ) -> StoredFile:
        """Store a file for `life_s` (0: until it is deleted). It is there for nobody before it is whole."""
        draft = self.draft(tenant, purpose, filename, life_s)
        for part in content:
            draft.write(part)
        draft.finish()
        return self.publish(draft)

    def publish(self, draft: "Draft") -> StoredFile:
        """Let a draft that is finished be seen."""
        with self._database.transaction() as step:
            return draft.publish(step)

    def draft(self, tenant: str, purpose: Purpose, filename: str, life_s: int = 0) -> "Draft":
        """Begin a file that others will not see before it is published."""
        draft = Draft(self._database, tenant, purpose, filename, int(self._clock()))
        draft.life_s = life_s
        return draft

    def sweep(self, draft_s_max: int = DRAFT_S_MAX) -> None:
        """Remove drafts that nobody can be writing any more, and files whose time is over."""
        now = int(self._clock())
        with self._database.transaction() as step:
            for (file_id,) in step.rows(
                "SELECT id FROM files WHERE (sha256 = '' AND created_at <= ?) OR (expires_at > 0 AND expires_at <= ?)"
                " LIMIT ?",
                now - draft_s_max,
                now,
                SWEPT_AT_ONCE,
            ):
                step.run("DELETE FROM pieces WHERE file_id = ?", file_id)
                step.run("DELETE FROM files WHERE id = ?", file_id)

    def find(self, tenant: str, file_id: str) -> StoredFile | None:
        """Return the tenant's file of this name."""
        with self._database.transaction() as step:
            rows = step.rows(
                f"SELECT {_COLUMNS} FROM files WHERE id = ? AND tenant = ? AND {_IS_THERE}",
                file_id,
                tenant,
                int(self._clock()),
            )
        return _stored(rows[0]) if rows else None

    def all_of(
        self, tenant: str, *, after: str = "", limit: int = 100, purpose: str = "", oldest_first: bool = False
    ) -> list[StoredFile]:
        """Return up to `limit` files of a tenant, newest first, from the one behind `after` on.

        `purpose`: only those for it.
        """
        side, direction = (">", "ASC") if oldest_first else ("<", "DESC")
        with self._database.transaction() as step:
            rows = step.rows(
                f"""SELECT {_COLUMNS} FROM files AS f WHERE tenant = ? AND {_IS_THERE} AND (? = '' OR purpose = ?)
                    AND (? = '' OR (created_at, id) {side}
                    (SELECT created_at, id FROM files WHERE id = ? AND tenant = f.tenant))
                    ORDER BY created_at {direction}, id {direction} LIMIT ?""",
                tenant,
                int(self._clock()),
                purpose,
                purpose,
                after,
                after,
                limit,
            )
        return [_stored(row) for row in rows]

    def read(self, stored: StoredFile) -> Iterator[bytes]:
        """Yield the content piece by piece. Raises `InternalError` at the end of one that is not what was stored."""
        digest = hashlib.sha256()
        for piece in self._read_pieces(stored.id):
            digest.update(piece)
            yield piece
        if not hmac.compare_digest(digest.hexdigest(), stored.sha256):
            raise InternalError(f"File {stored.id} is damaged in the store.", code="file_damaged")

    def _read_pieces(self, file_id: str) -> Iterator[bytes]:
        number = 0
        while True:
            with self._database.transaction() as step:
                rows = step.rows("SELECT content FROM pieces WHERE file_id = ? AND number = ?", file_id, number)
            if not rows:
                return
            yield bytes_of(rows[0][0])
            number += 1

    def remove(self, tenant: str, file_id: str) -> bool:
        """Delete a file; False when there is none. Raises `CallerError` (409) for the input of a batch that has not ended."""
        with self._database.transaction() as step:
            if step.rows(
                "SELECT 1 FROM batches WHERE input_file_id = ? AND tenant = ?"
                " AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling') LIMIT 1",
                file_id,
                tenant,
            ):
                raise CallerError(
                    "A batch that has not ended needs this file; cancel it first.", status=409, code="file_in_use"
                )
            if not step.run("DELETE FROM files WHERE id = ? AND tenant = ?", file_id, tenant):
                return False
            step.run("DELETE FROM pieces WHERE file_id = ?", file_id)
        return True


class Draft:
    """A file that is being written, in pieces of one size however it comes."""

    def __init__(self, database: Database, tenant: str, purpose: Purpose, filename: str, created_at: int) -> None:
        self._database = database
        self._stored = StoredFile(new_id("file"), tenant, purpose, filename, 0, "", created_at)
        self._digest = hashlib.sha256()
        self._held = bytearray()
        self._size = self._count = 0
        self.life_s = 0
        """How long it is kept, from its begin on; 0: until it is deleted. To be set before it is published."""
        with database.transaction() as step:
            step.run(
                f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, 0, '', ?, 0)",
                self._stored.id,
                tenant,
                purpose.value,
                filename,
                created_at,
            )

    @property
    def size_bytes(self) -> int:
        """How much was written."""
        return self._size

    def write(self, content: bytes) -> None:
        """Add to it."""
        self._digest.update(content)
        self._size += len(content)
        self._held += content
        while len(self._held) >= PIECE_BYTES:
            self._put(bytes(self._held[:PIECE_BYTES]))
            del self._held[:PIECE_BYTES]

    def finish(self) -> None:
        """Write what is held; nothing is added after this."""
        if self._held:
            self._put(bytes(self._held))
            self._held.clear()

    def publish(self, step: Transaction) -> StoredFile:
        """Let it be seen, as a part of this transaction."""
        expires_at = self._stored.created_at + self.life_s if self.life_s else 0
        stored = replace(self._stored, size_bytes=self._size, sha256=self._digest.hexdigest(), expires_at=expires_at)
        step.run(
            "UPDATE files SET size_bytes = ?, sha256 = ?, expires_at = ? WHERE id = ?",
            self._size,
            stored.sha256,
            expires_at,
            stored.id,
        )
        return stored

    def discard(self) -> None:
        """Leave nothing of it."""
        with self._database.transaction() as step:
            step.run("DELETE FROM pieces WHERE file_id = ?", self._stored.id)
            step.run("DELETE FROM files WHERE id = ?", self._stored.id)

    def _put(self, piece: bytes) -> None:
        with self._database.transaction() as step:
            step.run(
                "INSERT INTO pieces (file_id, number, content) VALUES (?, ?, ?)", self._stored.id, self._count, piece
            )
        self._count += 1


def _stored(row: Row) -> StoredFile:
    file_id, tenant, purpose, filename, size, sha256, created_at, expires_at = row
    return StoredFile(
        str(file_id),
        str(tenant),
        Purpose(str(purpose)),
        str(filename),
        int(str(size)),
        str(sha256),
        int(str(created_at)),
        int(str(expires_at)),
    )
