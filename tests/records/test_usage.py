"""What tenants used today, in a file that several may add to."""

import stat
from pathlib import Path

import pytest

from toque.model.usage import Use
from toque.records.usage import UsageFile


def test_what_was_used_is_there_for_whoever_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    here, there = UsageFile(path), UsageFile(path)
    assert here.add(20_000, {}) == {}
    assert not path.exists(), "nothing was used, nothing is written"
    assert here.add(20_000, {"alice": Use(10, 0.5)}) == {"alice": Use(10, 0.5)}
    assert there.add(20_000, {"alice": Use(5, 0.25), "bob": Use(1)}) == {"alice": Use(15, 0.75), "bob": Use(1)}
    assert UsageFile(path).add(20_000, {}) == {"alice": Use(15, 0.75), "bob": Use(1)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_day_begins_with_nothing_and_an_old_one_overwrites_none(tmp_path: Path) -> None:
    usage = UsageFile(tmp_path / "usage.json")
    usage.add(20_000, {"alice": Use(10)})
    assert usage.add(20_001, {"bob": Use(1)}) == {"bob": Use(1)}
    usage.add(20_000, {"alice": Use(1)})
    assert usage.add(20_001, {}) == {"bob": Use(1)}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"day": "x"}', b"\xff", b'{"day":20000,"uses":{"a":'])
def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "usage.json").write_bytes(content)
    assert UsageFile(tmp_path / "usage.json").add(20_000, {"a": Use(1)}) == {"a": Use(1)}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        UsageFile(tmp_path / "gone" / "usage.json").add(1, {})
