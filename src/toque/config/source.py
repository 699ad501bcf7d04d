"""A settings file: its table, and where each of its keys stands.

Law: a line number is found by reading left sides only; where that fails, the nearest table above is named.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from toque.model.errors import ConfigError

KeyPath: TypeAlias = tuple[str, ...]
"""Where a setting stands: `("models", "chat", "slots")`."""

Table: TypeAlias = dict[str, object]

FILE_BYTES_MAX = 2**20
_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)\]{1,2}\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"""\s*((?:[A-Za-z0-9_.\s-]|"[^"]*"|'[^']*')+?)\s*=""")
_POSITION = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A parsed file. `places` maps a key's path to its line and column, both counted from 1."""

    name: str
    table: Table
    places: Mapping[KeyPath, tuple[int, int]] = field(repr=False)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of the key, or of the nearest table above that the file names; `file` when none is."""
        return ":".join(map(str, (self.name, *self._place(path)[:1])))

    def place(self, path: KeyPath) -> str:
        """Return the same with the column: `file:line:column`."""
        return ":".join(map(str, (self.name, *self._place(path))))

    def _place(self, path: KeyPath) -> tuple[int, ...]:
        return next((self.places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.places), ())


def expanded(path: str) -> Path:
    """Return a path with `~` replaced, where there is a home to replace it with."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_source(path: Path) -> TomlSource:
    """Read and parse a file. Raises `ConfigError` with the line when it is not TOML."""
    return parse_source(str(path), _text_of(path))


def parse_source(name: str, text: str) -> TomlSource:
    """Parse the text of a file, called `name`. Raises `ConfigError` with the line when it is not TOML."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise _syntax_error(name, str(error)) from error
    return TomlSource(name, table, _key_places(text))


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"The settings file cannot be read: {error.strerror}.", where=str(path), fix="Name another with --config."
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError("The settings file is larger than 1 MiB.", where=str(path), fix="Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "The settings file is not UTF-8 text.", where=f"{path}:{line}", fix="Save it as UTF-8."
        ) from error


def _syntax_error(name: str, message: str) -> ConfigError:
    position = _POSITION.search(message)
    where = f"{name}:{position[1]}:{position[2]}" if position else name
    fix = 'TOML looks like: slots = 2, or url = "http://127.0.0.1:8000/v1" (text needs quotes).'
    if "twice" in message or "overwrite" in message:
        fix = "Each name may stand once: join the two, or give one another name."
    return ConfigError(f"Not valid TOML: {_POSITION.sub('', message)}.", where=where, fix=fix)


def _key_places(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Tell where each key, and each table above it, is named first."""
    found: dict[KeyPath, tuple[int, int]] = {}
    prefix: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        path = prefix
        if header := _HEADER.match(line):
            path = prefix = _key_path(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            path = prefix + _key_path(assignment[1])
        for length in range(len(path)):
            found.setdefault(path[: length + 1], (number, len(line) - len(line.lstrip()) + 1))
    return found


def _key_path(text: str) -> KeyPath:
    try:
        table: object = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        path.append(name)
    return tuple(path)
