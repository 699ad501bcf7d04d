"""A glance over a whole CSV trace before it is read row by row, so that a bad row deep in a large one is told at once.

Law: it looks at thousands of rows in one go, and only for what a plain trace has: as many cells in each row, times that are
numbers in order, whole numbers of tokens. Rows that differ are read the ordinary way, which alone says what is wrong.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from toque.sim.workload.instant import NUMBER_MAX
from toque.sim.workload.rows import LOG_NAMES, Cursor, csv_arrivals, places_in
from toque.sim.workload.trace import plain, telling

BLOCK_BYTES = 2**18
"""Looked at in one go; a longer line is left to the ordinary reading."""
TIME, TOKENS, ANY = rb"(\d++(?:\.\d++)?+)", rb"\d{1,7}+", rb"[^,\"\r\n]*+"


def glance(path: Path) -> None:
    """Look through a trace file. Raises `ConfigError` for a row that cannot be used; what it cannot judge it leaves alone."""
    cursor = Cursor()
    with telling(path, cursor), path.open("rb") as file:
        lines = plain(file)
        first = lines.readline(BLOCK_BYTES)
        header = [title.strip().lower() for title in first.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split(",")]
        if "arrival_s" in header and LOG_NAMES.isdisjoint(header):
            _look(lines, header, cursor)


def _look(lines: BinaryIO, header: Sequence[str], cursor: Cursor) -> None:
    """Go from block to block; after one that is right but not plain the others will be like it, so leave them alone."""
    places, last, rest = places_in(header), 0.0, b""
    row = _row(len(header), places)
    while block := lines.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        whole, rest = rest + block[:end], block[end:] if end else rest + block
        times = list(map(float, row.findall(whole)))
        count = whole.count(b"\n")
        if len(times) != count or times != sorted(times) or not last <= min(times, default=last) <= NUMBER_MAX:
            _read(whole, places, cursor, last)
            return
        last, cursor.line = max(times, default=last), cursor.line + count


def _row(width: int, places: Mapping[str, int]) -> "re.Pattern[bytes]":
    kinds = {places["time"]: TIME} | {places[name]: TOKENS for name in ("prompt", "output") if name in places}
    return re.compile(rb"(?m)^" + rb",".join(kinds.get(place, ANY) for place in range(width)) + rb"\r?$")


def _read(block: bytes, places: Mapping[str, int], cursor: Cursor, last: float) -> None:
    """Read the rows of a block one by one, the cursor on each."""
    for cells in csv.reader(block.decode("utf-8").splitlines()):
        cursor.line += 1
        for arrival in csv_arrivals([cells], places):
            if arrival.at < last:
                raise ValueError(f"the time goes back by {last - arrival.at:g} s")
            last = arrival.at
