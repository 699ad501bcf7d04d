"""What can happen to the bytes of a connection, and at which of them: faults as values, and the one pass that applies them.

Law: nothing here waits or touches a socket; the same faults on the same bytes give the same steps, however the bytes were
split on their way in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

SLOW_STEP_S = 0.02
"""A slow connection passes on what its rate allows in this time: finer than anything that listens for gaps."""


@dataclass(frozen=True, slots=True)
class At:
    """A point in one direction: `after` bytes behind the end of the `times`-th `mark`; without a mark, of the beginning."""

    after: int = 0
    mark: bytes = b""
    times: int = 1


START = At()


@dataclass(frozen=True, slots=True)
class Stop:
    """From here on nothing passes, and nobody is told: a peer that hangs."""

    at: At = START


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends here with FIN, to both sides: a clean close at a wrong moment."""

    at: At = START


@dataclass(frozen=True, slots=True)
class Kill:
    """The connection ends here with RST, to both sides: a process that died."""

    at: At = START


@dataclass(frozen=True, slots=True)
class Slow:
    """From here on so many bytes a second pass."""

    bytes_per_s: float
    at: At = START


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The byte here is turned into another: `mask` is what is XORed to it."""

    at: At = START
    mask: int = 0xFF


@dataclass(frozen=True, slots=True)
class Split:
    """From here on the bytes pass in pieces of `every`, each in a send of its own."""

    every: int = 1
    at: At = START


Fault: TypeAlias = Stop | Cut | Kill | Slow | Corrupt | Split
End: TypeAlias = Stop | Cut | Kill


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens on one connection, on the way to the server and on the way back."""

    to_server: Sequence[Fault] = ()
    to_client: Sequence[Fault] = ()


Plan: TypeAlias = Callable[[int], Faults]
"""The number of a connection, from 0 -> what happens on it."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A plan drawn by chance, the same for the same seed: `ratio` of the connections have one of `faults` in their answer.

    Where it happens is drawn too, among the first `bytes_max` bytes.
    """

    seed: int
    ratio: float
    faults: Sequence[Fault]
    bytes_max: int = 4096

    def __call__(self, number: int) -> Faults:
        """Draw for one connection."""
        chance = Random(f"{self.seed}/{number}")  # noqa: S311 - drawn faults, not a secret
        if chance.random() >= self.ratio:
            return Faults()
        fault = self.faults[chance.randrange(len(self.faults))]
        return Faults(to_client=(replace(fault, at=At(chance.randrange(self.bytes_max))),))


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait so long before the next step."""

    duration_s: float


Step: TypeAlias = bytes | Rest | End


class Passage:
    """One direction of one connection: bytes in, steps out. After a `Stop`, `Cut` or `Kill` there are no more steps."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._ahead = [_Sought(fault) for fault in faults]
        self._offset = 0
        self._bytes_per_s = 0.0
        self._every = 0

    def steps(self, data: bytes) -> Iterator[Step]:
        """Say what becomes of `data`; call it with nothing once at the beginning, for faults that come before any byte."""
        for sought in self._ahead:
            sought.look(data, self._offset)
        data = self._corrupted(data)
        while True:
            end = self._arrive()
            if end is not None:
                yield end
                return
            if not data:
                return
            length = min(self._next() - self._offset, len(data))
            piece, data = data[:length], data[length:]
            self._offset += length
            yield from self._paced(piece)

    def _corrupted(self, data: bytes) -> bytes:
        for sought in self._ahead:
            if isinstance(sought.fault, Corrupt) and 0 <= (place := sought.position - self._offset) < len(data):
                data = data[:place] + bytes([data[place] ^ sought.fault.mask]) + data[place + 1 :]
        return data

    def _arrive(self) -> End | None:
        """Let begin what is due here; return the fault that ends it all, if that is among them."""
        due = [sought.fault for sought in self._ahead if 0 <= sought.position <= self._offset]
        self._ahead = [sought for sought in self._ahead if not 0 <= sought.position <= self._offset]
        for fault in due:
            if isinstance(fault, Slow):
                self._bytes_per_s = fault.bytes_per_s
            elif isinstance(fault, Split):
                self._every = fault.every
            elif not isinstance(fault, Corrupt):
                return fault
        return None

    def _next(self) -> int:
        """Where the next fault is, if its place is known."""
        return min((sought.position for sought in self._ahead if sought.position > self._offset), default=_NOWHERE)

    def _paced(self, piece: bytes) -> Iterator[Step]:
        size = self._every or len(piece)
        if self._bytes_per_s:
            size = min(size, max(1, int(self._bytes_per_s * SLOW_STEP_S)))
        for start in range(0, len(piece), size):
            part = piece[start : start + size]
            yield part
            if self._bytes_per_s:
                yield Rest(len(part) / self._bytes_per_s)
            elif self._every:
                yield Rest(0.0)


_NOWHERE = 2**62


class _Sought:
    """A fault on its way to its place: `position` is -1 until its mark has come."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.position = -1 if fault.at.mark else fault.at.after
        self._left = fault.at.times
        self._tail = b""

    def look(self, data: bytes, offset: int) -> None:
        """Search what comes, which begins at `offset`; a mark may lie across two reads."""
        mark = self.fault.at.mark
        if self.position >= 0 or not data:
            return
        text = self._tail + data
        start = 0
        while self._left and (found := text.find(mark, start)) >= 0:
            start = found + len(mark)
            self._left -= 1
        if not self._left:
            self.position = offset - len(self._tail) + start + self.fault.at.after
        self._tail = text[max(start, len(text) - len(mark) + 1) :]
