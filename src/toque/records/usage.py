"""What tenants used today, in a file of the state directory: a day's budget survives a restart.

Law: several processes on one machine may share the file: each adds under a lock, and the file is replaced whole. A file that
cannot be read counts as empty, as a day that is over does.
"""

import fcntl
from collections.abc import Mapping
from pathlib import Path

import msgspec

from toque.model.usage import Use
from toque.ports import UsageStore


class _Day(msgspec.Struct):
    day: int = 0
    uses: dict[str, Use] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Day).decode


class UsageFile(UsageStore):
    """One JSON file, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, day: int, uses: Mapping[str, Use]) -> Mapping[str, Use]:
        """Add what was used on a day, and return what was used on it in all. Blocks. Raises `OSError`."""
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read()
            totals = known.uses if known.day == day else {}
            totals |= {tenant: totals.get(tenant, Use()).plus(used) for tenant, used in uses.items()}
            if uses and known.day <= day:
                self._write(_Day(day, totals))
        return totals

    def _read(self) -> _Day:
        try:
            return _decode(self._path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return _Day()

    def _write(self, content: _Day) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.touch(0o600)
        fresh.write_bytes(_encode(content))
        fresh.replace(self._path)
