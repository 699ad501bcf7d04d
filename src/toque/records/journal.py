"""The journal: every step of the core as (now, event, effects), in a bounded ring and, if wanted, in a file.

Law: the file begins with the specs, so that it can be replayed alone; it never grows beyond its bound (nor
when the disk cannot keep up), and says in its last line when it stopped there. Writing happens off the event loop; nothing in it is text of a request.

File format, one JSON value a line: a header object, then `[now, kind, event, [[kind, effect], ...]]` a step.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar, get_args

import msgspec

from toque.model import messages
from toque.model.errors import ConfigError
from toque.model.messages import Effect, Event
from toque.model.spec import FleetSpec

SCHEMA = 1
Step: TypeAlias = tuple[float, Event, list[Effect]]

_Word = TypeVar("_Word")
_EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(messages.Event)}
_EFFECTS: dict[str, type[Effect]] = {kind.__name__: kind for kind in get_args(messages.Effect)}
_encode = msgspec.json.Encoder().encode
_BATCH_STEPS = 256
_BATCHES_PENDING_MAX = 64
_Line: TypeAlias = tuple[float, str, msgspec.Raw, list[tuple[str, msgspec.Raw]]]


class Header(msgspec.Struct):
    """First line of a journal: who wrote it, when the fleet was born (its own clock, seconds), and the specs."""

    toque: str
    born: float
    spec: FleetSpec
    schema: int = SCHEMA


class JournalRing:
    """The last steps, for `toque why`."""

    def __init__(self, length: int) -> None:
        self._steps: deque[Step] = deque(maxlen=length)
        self.record = self._keep

    def _keep(self, now: float, event: Event, effects: list[Effect]) -> None:
        self._steps.append((now, event, effects))

    def steps(self) -> list[Step]:
        """Copy what is remembered, oldest first."""
        return list(self._steps)


class JournalFile:
    """A ring that also writes to a file, in batches, on a thread of its own."""

    def __init__(self, ring: JournalRing, path: Path, bytes_max: int, header: Header) -> None:
        self._ring = ring
        self._file = path.open("wb")
        self._room = bytes_max
        self._batch: list[bytes] = [_encode(header)]
        self._pending = 0
        self._writer = ThreadPoolExecutor(1, "journal")

    def record(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Keep one step; it reaches the file with its batch, or at `flush`."""
        self._ring.record(now, event, effects)
        if self._room <= 0:
            return
        self._batch.append(encode_step(now, event, effects))
        if len(self._batch) >= _BATCH_STEPS:
            self.flush()

    def flush(self) -> None:
        """Hand what is there to the writing thread."""
        lines, self._batch = self._batch, []
        if not lines:
            return
        fitting = self._fit(lines) if self._pending < _BATCHES_PENDING_MAX else 0
        if fitting < len(lines):
            lines, self._room = [*lines[:fitting], b'{"truncated":true}'], 0
        self._pending += 1
        self._writer.submit(self._write, b"\n".join(lines) + b"\n")

    def _fit(self, lines: list[bytes]) -> int:
        """Count the lines there is room for, and take that room."""
        for number, line in enumerate(lines):
            self._room -= len(line) + 1
            if self._room < 0:
                return number
        return len(lines)

    async def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        await asyncio.get_running_loop().run_in_executor(self._writer, self._file.close)
        self._writer.shutdown()

    def _write(self, block: bytes) -> None:
        try:
            self._file.write(block)
            self._file.flush()
        except OSError:  # a full disk ends the recording, never the service
            self._room = 0
        finally:
            self._pending -= 1


class JournalReader:
    """Reads a journal file back. Raises `ConfigError` with file and line for what is no journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}", fix="give the path of a journal file") from error
        self.header = self._read_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def steps(self) -> Iterator[Step]:
        """Yield every step; ends at the end of the file or at its mark of truncation."""
        for number, line in enumerate(self._file, start=2):
            if line.startswith(b'{"truncated"'):
                return
            try:
                yield decode_step(line)
            except (msgspec.MsgspecError, KeyError, ValueError) as error:
                raise ConfigError(f"not a step of a journal: {error}", where=f"{self._path}:{number}") from error

    def _read_header(self) -> Header:
        try:
            return msgspec.json.decode(self._file.readline(), type=Header)
        except msgspec.MsgspecError as error:
            self._file.close()
            raise ConfigError(
                f"not a journal: {error}",
                where=f"{self._path}:1",
                fix="journals are written by `toque up --record-journal FILE`",
            ) from error


def encode_step(now: float, event: Event, effects: list[Effect]) -> bytes:
    """Write one step as a line without its end."""
    return _encode((now, type(event).__name__, event, [(type(effect).__name__, effect) for effect in effects]))


def decode_step(line: bytes) -> Step:
    """Read one line. Raises msgspec.MsgspecError, KeyError or ValueError for what is no step."""
    now, kind, event, effects = msgspec.json.decode(line, type=_Line)
    return now, _decode(_EVENTS[kind], event), [_decode(_EFFECTS[name], fields) for name, fields in effects]


def _decode(kind: type[_Word], fields: msgspec.Raw) -> _Word:
    return msgspec.json.decode(fields, type=kind)
