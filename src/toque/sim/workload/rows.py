"""Rows of a trace file, in CSV or as JSON lines, with whatever usual names their columns have.

Law: a row becomes an arrival or a `ValueError`/`KeyError` that says in a sentence what is wrong with it; times are still
those of the file, and the cursor knows the line.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from toque.model.ticket import PRIORITY, PRIORITY_MAX, ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.workload.instant import read_instant

NAMES: Mapping[str, Sequence[str]] = {
    "time": ("arrival_s", "time", "timestamp", "arrived_at", "created", "created_at", "ts"),
    "prompt": ("prompt_tokens", "contexttokens", "input_tokens", "request_tokens", "prompt_len"),
    "output": ("output_tokens", "generatedtokens", "completion_tokens", "response_tokens", "output_len"),
    "tenant": ("tenant", "client", "key", "user"),
    "model": ("model",),
    "class": ("class", "service_class", "service_tier"),
    "priority": ("priority",),
    "share": ("share",),
    "stream": ("stream",),
    "duration": ("duration_ms",),
    "status": ("status",),
}
LOG_NAMES = frozenset({"created", "created_at", "duration_ms"})
"""Columns that only logs have: their lines come in the order of ends, not of arrivals."""
INNER = ("request", "response", "body", "usage")
WHOLE_WORDS = frozenset({"false", "0", "no"})
BATCH_WORDS = frozenset({"batch", "flex"})
TOKENS_MAX = 10_000_000
SHARE_MAX = 1e6
TOO_MANY_REQUESTS = 429

_Row: TypeAlias = Mapping[str, object]


@dataclass(slots=True)
class Cursor:
    """The line being read, counted from 1."""

    line: int = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """What a file holds. `is_log`: in the order of ends, so not quite in that of arrivals. `has_models`: every arrival's
    `pool` is the model it asked for."""

    arrivals: Iterator[Arrival]
    is_log: bool
    has_models: bool = False


def csv_rows(lines: Iterable[str], cursor: Cursor) -> Rows:
    """Read CSV with a header line. Raises `ValueError` where no column holds times."""
    rows = _cells(lines, cursor)
    header = [title.strip().lower() for title in next(rows, [])]
    if not header:
        return Rows(iter(()), is_log=False)
    places = places_in(header)
    return Rows(csv_arrivals(rows, places), not LOG_NAMES.isdisjoint(header), "model" in places)


def places_in(header: Sequence[str]) -> Mapping[str, int]:
    """Return where each of our columns is; of two with the same meaning the more usual name counts.

    Raises `ValueError` where no column holds times.
    """
    found = {name: next((alias for alias in aliases if alias in header), None) for name, aliases in NAMES.items()}
    if found["time"] is None:
        raise ValueError(f"no column of times among {', '.join(header)[:80]!r}; name one of them arrival_s")
    return {name: header.index(alias) for name, alias in found.items() if alias is not None}


def csv_arrivals(rows: Iterable[Sequence[str]], places: Mapping[str, int]) -> Iterator[Arrival]:
    """Read the cells of rows."""
    if places.keys() <= {"time", "prompt", "output"}:
        return _plain_arrivals(rows, places)
    pick = _picker(places)
    return _wanted(pick(cells) for cells in rows)


def json_rows(lines: Iterable[str], cursor: Cursor) -> Rows:
    """Read JSON lines; what answers of the OpenAI API keep in `usage` counts as part of the row."""
    objects = _json_objects(lines, cursor)
    first = next(objects, {})
    is_log = not LOG_NAMES.isdisjoint(_flat(first))
    return Rows(_wanted(map(_known, chain([first], objects))), is_log, "model" in _known(first))


# ---- CSV -------------------------------------------------------------------------------------------------------------


def _cells(lines: Iterable[str], cursor: Cursor) -> Iterator[list[str]]:
    reader = csv.reader(lines)
    try:
        for cells in reader:
            cursor.line = reader.line_num
            yield cells
    except csv.Error as error:
        raise ValueError(f"this is no CSV: {error}") from error


def _plain_arrivals(rows: Iterable[Sequence[str]], places: Mapping[str, int]) -> Iterator[Arrival]:
    """The common case, short because traces have millions of rows: times and lengths only."""
    time, prompt, output = (places.get(name) for name in ("time", "prompt", "output"))
    width = max(places.values()) + 1
    for cells in rows:
        if len(cells) < width:
            if not cells:
                continue
            raise ValueError(f"{len(cells)} columns where {width} are needed")
        yield Arrival(
            _from_start(read_instant(cells[time or 0])),
            0 if prompt is None else _tokens(cells[prompt]),
            1 if output is None else _tokens(cells[output]) or 1,
        )


def _picker(places: Mapping[str, int]) -> Callable[[Sequence[str]], _Row]:
    width = max(places.values()) + 1

    def pick(cells: Sequence[str]) -> _Row:
        if cells and len(cells) < width:
            raise ValueError(f"{len(cells)} columns where {width} are needed")
        return {name: cells[place] for name, place in places.items()} if cells else {}

    return pick


# ---- JSON ------------------------------------------------------------------------------------------------------------


def _json_objects(lines: Iterable[str], cursor: Cursor) -> Iterator[Mapping[str, object]]:
    for cursor.line, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"this is no JSON object: {error.msg}") from error
            if not isinstance(row, dict):
                raise ValueError("this is no JSON object")
            yield row


def _known(row: Mapping[str, object]) -> _Row:
    flat = _flat(row)
    return {
        name: value
        for name, aliases in NAMES.items()
        if (value := next((flat[alias] for alias in aliases if flat.get(alias) is not None), None)) is not None
    }


def _flat(row: Mapping[str, object]) -> Mapping[str, object]:
    """Bring up what logs of OpenAI calls keep in objects of their own."""
    flat = {name.lower(): value for name, value in row.items()}
    for name in INNER:
        inner = flat.pop(name, None)
        if isinstance(inner, dict):
            flat = {**_flat(inner), **flat}
    return flat


# ---- both ------------------------------------------------------------------------------------------------------------


def _wanted(rows: Iterable[_Row]) -> Iterator[Arrival]:
    """Arrivals of those rows that were demand: not of blank ones, nor of requests that were wrong in themselves."""
    for row in rows:
        if row and not _is_wrong_request(row.get("status")):
            yield _arrival(row)


def _arrival(row: _Row) -> Arrival:
    """A row with a duration was written when its request ended."""
    at = read_instant(row["time"])
    if duration_ms := row.get("duration"):
        at -= read_instant(duration_ms) / 1000
    is_batch = str(row.get("class", "")).lower() in BATCH_WORDS
    return Arrival(
        _from_start(at),
        _tokens(row.get("prompt", 0)),
        _tokens(row.get("output", 1)) or 1,
        str(row.get("tenant", "")),
        ServiceClass.BATCH if is_batch else ServiceClass.INTERACTIVE,
        str(row.get("model", "")),
        _priority(row.get("priority", PRIORITY)),
        _share(row.get("share", 1.0)),
        str(row.get("stream", "")).lower() in WHOLE_WORDS,
    )


def _is_wrong_request(status: object) -> bool:
    """A 4xx is the caller's mistake and asks for no replica, but for 429, which is demand that was turned away."""
    text = str(status)
    return len(text) == 3 and text.startswith("4") and text != str(TOO_MANY_REQUESTS)


def _from_start(at: float) -> float:
    if at < 0:
        raise ValueError(f"the time {at:g} is negative")
    return at


def _priority(value: object) -> int:
    text = str(value).strip()
    if not (text.isdecimal() and int(text) <= PRIORITY_MAX):
        raise ValueError(f"{text[:20]!r} is no priority from 0 to {PRIORITY_MAX}")
    return int(text)


def _share(value: object) -> float:
    try:
        share = float(str(value))
    except ValueError:
        share = 0.0
    if not 0 < share <= SHARE_MAX:
        raise ValueError(f"{str(value)[:20]!r} is no share above 0")
    return share


def _tokens(value: object) -> int:
    try:
        count = int(value) if isinstance(value, str) and value.isdecimal() else int(float(str(value) or 0))
    except (ValueError, OverflowError):
        raise ValueError(f"{str(value)[:20]!r} is no number of tokens") from None
    if not 0 <= count <= TOKENS_MAX:
        raise ValueError(f"{count} is no number of tokens")
    return count
