"""Traces: recorded traffic from CSV or JSON lines, plain or gzip, one row a request.

Law: a trace streams, so its length costs no memory; what is wrong with it is told with file, line and what to do. Columns go
by any of their usual names (docs/reference/traces.md), and times become seconds since the first request.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, cast

from toque.model.errors import ConfigError
from toque.sim.arrival import Arrival
from toque.sim.workload.order import in_order
from toque.sim.workload.rows import Cursor, Rows, csv_rows, json_rows

GZIP = b"\x1f\x8b"
SNIFF_BYTES = 4096
FIX = "rows need a time in ascending order, and whole numbers of tokens from 0; see docs/reference/traces.md"


def read_trace(path: Path) -> Iterator[Arrival]:
    """Yield the arrivals of a trace file. Raises `ConfigError` at the first row that cannot be used."""
    cursor = Cursor()
    try:
        with path.open("rb") as file:
            yield from _arrivals(_plain(file), cursor)
    except (ValueError, KeyError, OverflowError) as error:
        raise ConfigError(_sentence(error), where=f"{path}:{cursor.line}", fix=FIX) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        text = "the gzip data ends early or is damaged"
        raise ConfigError(text, where=f"{path}:{cursor.line}", fix="make or copy the file again") from error
    except OSError as error:
        text = f"cannot read the trace: {error.strerror or error}"
        raise ConfigError(text, where=str(path), fix="name a file that can be read") from error


def _arrivals(file: BinaryIO, cursor: Cursor) -> Iterator[Arrival]:
    first = last = None
    for arrival in _ordered(file, cursor):
        at = arrival.at
        if first is None or last is None:
            first = last = at
        if at < last:
            raise ValueError(f"the time goes back by {last - at:g} s")
        last = at
        yield replace(arrival, at=at - first) if first else arrival
    if first is None:
        raise ValueError("the trace has no requests")


def _ordered(file: BinaryIO, cursor: Cursor) -> Iterator[Arrival]:
    rows = _rows(file, cursor)
    return in_order(rows.arrivals) if rows.is_log else rows.arrivals


def _rows(file: BinaryIO, cursor: Cursor) -> Rows:
    start = _peek(file).lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in start:
        raise ValueError("this is a binary file, and a trace is text")
    if start.startswith(b"["):
        raise ValueError("this is a JSON array; write one JSON object a line")
    lines = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    return json_rows(lines, cursor) if start.startswith(b"{") else csv_rows(lines, cursor)


def _plain(file: BinaryIO) -> BinaryIO:
    """Look through gzip, whatever the file is called."""
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if _peek(file).startswith(GZIP) else file


def _peek(file: BinaryIO) -> bytes:
    return cast(gzip.GzipFile, file).peek(SNIFF_BYTES)[:SNIFF_BYTES]  # both kinds of file can


def _sentence(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the row has no {error.args[0]}"
    return "this is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
