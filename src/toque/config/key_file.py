"""The key file: keys that `toque key` keeps beside the settings, as JSON `{"keys": {NAME: what [keys.NAME] has}}`.

Law: it holds digests, never keys; only its owner reads it. It is replaced whole and under a lock, so that whoever reads it, and a
loss of power, find the old or the new one.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toque.config.source import FILE_BYTES_MAX, Table
from toque.model.errors import ConfigError

_OTHERS_MAY_WRITE = 0o022


class KeyFile:
    """One file, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Table]:
        """Return the settings of each key by its name. Raises `ConfigError` for a file that cannot be used."""
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from error
        if mode & _OTHERS_MAY_WRITE:
            raise self._unusable("may be written by others", f"chmod 600 {self.path}")
        return self._keys(content)

    @contextmanager
    def changing(self) -> Iterator[dict[str, Table]]:
        """Hand out the keys to be changed, and write them when the block ends well. Raises `ConfigError` as `read`."""
        try:
            with self.path.with_name(f"{self.path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = self.read()
                yield keys
                self._write(keys)
        except OSError as error:
            raise self._unusable(f"cannot be written: {error.strerror}") from error

    def _keys(self, content: bytes) -> dict[str, Table]:
        try:
            table = json.loads(content) if len(content) <= FILE_BYTES_MAX else None
        except (ValueError, RecursionError):
            table = None
        keys = table.get("keys") if isinstance(table, dict) else None
        if not isinstance(keys, dict) or not all(isinstance(key, dict) for key in keys.values()):
            raise self._unusable('is no JSON object {"keys": {NAME: {...}}} of at most 1 MiB')
        return keys

    def _write(self, keys: Mapping[str, Table]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.touch(0o600)
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"keys": keys}, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _unusable(self, why: str, fix: str = "") -> ConfigError:
        return ConfigError(f"The key file {why}.", where=str(self.path), fix=fix or "Name another with keys_file.")
