"""A bad row deep in a trace is found before the trace is read, and a trace that is right is left alone."""

import gzip
from pathlib import Path

import pytest

from toque.model.errors import ConfigError
from toque.sim.workload.glance import glance
from toque.sim.workload.trace import read_trace

ROWS = 40_000


def _trace(path: Path, bad: str = "", header: str = "arrival_s,prompt_tokens,output_tokens,client") -> Path:
    rows = [f"{number / 10},12,34,c{number % 7}" for number in range(ROWS)]
    if bad:
        rows[ROWS - 100] = bad
    path.write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode(), 1))
    return path


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("3990,12", "2 columns where 4 are needed"),
        ("soon,12,34,c1", "'soon' is no time"),
        ("nan,12,34,c1", "not a finite number"),
        ("-1,12,34,c1", "is negative"),
        ("17,12,34,c1", "the time goes back by 3972.9 s"),
        ("3990,many,34,c1", "'many' is no number of tokens"),
        ("3990,99999999,34,c1", "99999999 is no number of tokens"),
    ],
)
def test_a_bad_row_is_told_as_the_ordinary_reading_would(bad: str, told: str, tmp_path: Path) -> None:
    path = _trace(tmp_path / "day.csv.gz", bad)
    with pytest.raises(ConfigError) as seen:
        glance(path)
    with pytest.raises(ConfigError) as read:
        list(read_trace(path))
    assert told in seen.value.message
    assert (seen.value.message, seen.value.where) == (read.value.message, read.value.where)
    assert seen.value.where == f"{path}:{ROWS - 98}"


def test_what_is_right_is_left_alone_plain_or_not(tmp_path: Path) -> None:
    glance(_trace(tmp_path / "plain.csv.gz"))
    glance(_trace(tmp_path / "quoted.csv.gz", '3990,"12",34,"c,1"'))
    glance(_trace(tmp_path / "blank.csv.gz", "3990.0,12,34,c1\n"))
    iso = tmp_path / "iso.csv"
    iso.write_text("timestamp,prompt_tokens\n2024-01-01 00:00:00,5\n")
    glance(iso)
    lines = tmp_path / "day.jsonl"
    lines.write_text('{"arrival_s": 0}\n')
    glance(lines)


def test_a_damaged_file_is_told_at_once(tmp_path: Path) -> None:
    path = _trace(tmp_path / "day.csv.gz")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match="ends early"):
        glance(path)
