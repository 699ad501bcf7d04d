"""Traces: recorded traffic from CSV or JSON lines, plain or gzip, one row a request.

Law: a trace streams, so its length costs no memory; what is wrong with it is told with file, line and what to do. Columns go
by any of their usual names (docs/reference/traces.md), and times become seconds since the first request.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import TextIOWrapper
from math import inf
from pathlib import Path
from typing import BinaryIO, cast

from toque.model.errors import ConfigError
from toque.sim.arrival import Arrival
from toque.sim.workload.order import in_order
from toque.sim.workload.rows import Cursor, Rows, csv_rows, json_rows

GZIP = b"\x1f\x8b"
SNIFF_BYTES = 4096
MODELS_TOLD = 10
"""Names of other models that are told where the one asked for is not there."""
FIX = "rows need a time in ascending order, and whole numbers of tokens from 0; see docs/reference/traces.md"


def read_trace(path: Path, model: str = "") -> Iterator[Arrival]:
    """Yield the arrivals of a trace file: all, or those of `model`. Raises `ConfigError` at the first row that cannot be used."""
    cursor = Cursor()
    with telling(path, cursor), path.open("rb") as file:
        yield from _arrivals(rows_of(file, cursor), model)


def tells_models(path: Path) -> bool:
    """Whether a trace file says of each request which model it asked for."""
    cursor = Cursor()
    with telling(path, cursor), path.open("rb") as file:
        return rows_of(file, cursor).has_models


@contextmanager
def telling(path: Path, cursor: Cursor) -> Iterator[None]:
    """Tell what is wrong with a file as a `ConfigError`, with the line where the cursor stands."""
    try:
        yield
    except (ValueError, KeyError, OverflowError) as error:
        raise ConfigError(_sentence(error), where=f"{path}:{cursor.line}", fix=FIX) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        text = "the gzip data ends early or is damaged"
        raise ConfigError(text, where=f"{path}:{cursor.line}", fix="make or copy the file again") from error
    except OSError as error:
        text = f"cannot read the trace: {error.strerror or error}"
        raise ConfigError(text, where=str(path), fix="name a file that can be read") from error


def _arrivals(rows: Rows, model: str) -> Iterator[Arrival]:
    first: float | None = None
    last = -inf
    others: set[str] = set()
    for arrival in in_order(rows.arrivals) if rows.is_log else rows.arrivals:
        at = arrival.at
        if at < last:
            raise ValueError(f"the time goes back by {last - at:g} s")
        last = at
        if model and arrival.pool != model:
            if len(others) < MODELS_TOLD:
                others.add(arrival.pool)
            continue
        if first is None:
            first = at
        yield replace(arrival, at=at - first, pool="") if first or arrival.pool else arrival
    if first is None:
        told = f" of model {model!r}; it has {', '.join(sorted(others))}" if others else ""
        raise ValueError(f"the trace has no requests{told}")


def rows_of(file: BinaryIO, cursor: Cursor) -> Rows:
    """Return what a file holds, whatever its kind. Raises `ValueError` for one that is no trace."""
    file = plain(file)
    start = _peek(file).lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in start:
        raise ValueError("this is a binary file, and a trace is text")
    if start.startswith(b"["):
        raise ValueError("this is a JSON array; write one JSON object a line")
    lines = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    return json_rows(lines, cursor) if start.startswith(b"{") else csv_rows(lines, cursor)


def plain(file: BinaryIO) -> BinaryIO:
    """Look through gzip, whatever the file is called."""
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if _peek(file).startswith(GZIP) else file


def _peek(file: BinaryIO) -> bytes:
    return cast(gzip.GzipFile, file).peek(SNIFF_BYTES)[:SNIFF_BYTES]  # both kinds of file can


def _sentence(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the row has no {error.args[0]}"
    return "this is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
