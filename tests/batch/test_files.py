"""Files are whole or not there, and what is damaged is said."""

import hashlib
from pathlib import Path

import pytest

from tests.batch.scripted import Clock
from toque.batch.database import Database
from toque.batch.files import DRAFT_S_MAX, PIECE_BYTES, FileShelf
from toque.batch.identity import is_id
from toque.batch.sqlite import SqliteDatabase
from toque.model.batch import Purpose
from toque.model.errors import ConfigError, InternalError


@pytest.fixture
def shelf(database: Database, clock: Clock) -> FileShelf:
    return FileShelf(database, clock)


def test_a_file_comes_back_byte_by_byte_whatever_pieces_it_came_in(shelf: FileShelf) -> None:
    content = bytes(range(256)) * 10_000
    stored = shelf.put("ann", Purpose.BATCH, "a.jsonl", [content[:7], content[7:PIECE_BYTES], content[PIECE_BYTES:]])
    assert (stored.size_bytes, stored.sha256) == (2_560_000, hashlib.sha256(content).hexdigest())
    assert is_id(stored.id, "file")
    assert stored.created_at == 1_000_000
    pieces = list(shelf.read(stored))
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 2_560_000 - 2 * PIECE_BYTES]
    assert b"".join(pieces) == content


def test_an_empty_file_is_a_file(shelf: FileShelf) -> None:
    stored = shelf.put("ann", Purpose.BATCH, "empty.jsonl", [])
    assert shelf.find("ann", stored.id) == stored
    assert list(shelf.read(stored)) == []


def test_a_file_that_is_being_written_is_seen_by_nobody(shelf: FileShelf) -> None:
    shelf.draft("ann", Purpose.BATCH, "half.jsonl").write(b"x" * PIECE_BYTES)
    assert shelf.all_of("ann") == []


def test_a_draft_without_a_writer_is_swept_away_after_a_day(shelf: FileShelf, database: Database, clock: Clock) -> None:
    shelf.draft("ann", Purpose.BATCH, "half.jsonl").write(b"x" * PIECE_BYTES)
    clock.now += DRAFT_S_MAX - 1
    shelf.sweep()
    with database.transaction() as step:
        assert step.rows("SELECT COUNT(*) FROM pieces")[0][0] == 1
    clock.now += 1
    shelf.sweep()
    with database.transaction() as step:
        assert step.rows("SELECT COUNT(*) FROM pieces")[0][0] == 0


def test_b02_a_start_sweeps_what_a_kill_in_the_same_second_left(shelf: FileShelf, database: Database) -> None:
    shelf.draft("ann", Purpose.BATCH, "half.jsonl").write(b"x" * PIECE_BYTES)
    shelf.sweep(draft_s_max=0)
    with database.transaction() as step:
        assert step.rows("SELECT COUNT(*) FROM pieces")[0][0] == 0


def test_a_file_of_another_tenant_is_not_there(shelf: FileShelf) -> None:
    stored = shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"{}"])
    assert shelf.find("bob", stored.id) is None
    assert not shelf.remove("bob", stored.id)
    assert shelf.all_of("bob") == []


def test_a_list_goes_on_behind_the_last_one_seen_newest_first(shelf: FileShelf, clock: Clock) -> None:
    ids = []
    for _ in range(5):
        clock.now += 1
        ids.insert(0, shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"{}"]).id)
    first = shelf.all_of("ann", limit=2)
    rest = shelf.all_of("ann", after=first[-1].id)
    assert [stored.id for stored in first + rest] == ids


def test_a_deleted_file_leaves_nothing(shelf: FileShelf, database: Database) -> None:
    stored = shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"{}"])
    assert shelf.remove("ann", stored.id)
    assert not shelf.remove("ann", stored.id)
    with database.transaction() as step:
        assert step.rows("SELECT COUNT(*) FROM pieces")[0][0] == 0


def test_b05_a_flipped_byte_is_found_when_the_file_is_read(shelf: FileShelf, database: Database) -> None:
    stored = shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"abcdef"])
    with database.transaction() as step:
        step.run("UPDATE pieces SET content = ?", b"abcdEf")
    with pytest.raises(InternalError, match="damaged"):
        list(shelf.read(stored))


def test_b05_a_damaged_store_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqliteDatabase(path)
    FileShelf(store, Clock()).put("ann", Purpose.BATCH, "a.jsonl", [b"x" * 100_000])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = b"\xff" * 4096 * 2
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot use the job store .*jobs\.sqlite"):
        SqliteDatabase(path)


def test_l14_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqliteDatabase(path)
    with store.transaction() as step:
        step.run("UPDATE toque_schema SET version = 99")
    store.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="version 99"):
        SqliteDatabase(path)
    assert path.read_bytes() == before
