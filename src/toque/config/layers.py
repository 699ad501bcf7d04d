"""Layers of settings: flag > environment > file > default, merged into one table that remembers where each value is from.

Law: a later layer replaces single settings, never whole tables, but for the models that `toque up SOURCE` replaces.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from toque.config.key_file import KeyFile
from toque.config.shape import SERVICE, Entry
from toque.config.source import KeyPath, Table, TomlSource, expanded
from toque.model.errors import ConfigError

PREFIX = "TOQUE_"
ASSUMED = "assumed"
"""Where a model comes from that nobody named: the embedded one."""
DEFAULT = "default"

FLAGS: Mapping[str, KeyPath] = {
    "--listen": ("listen",),
    "--admin-listen": ("admin_listen",),
    "--record-journal": ("records", "journal"),
    "--record": ("records", "traffic"),
}
"""Flag -> the setting it sets. `SOURCE` and `--model-name` of `toque up` stand for a whole model instead."""

DEFAULT_MODEL = "chat"
_ASSUMED_SETTINGS = {"slots": 2, "threads": 1, "replicas": {"minimum_warm": 1, "maximum": 4}}
"""One thread a replica: on two cores a second replica doubled the throughput, a second thread did not."""


def variable(path: KeyPath) -> str:
    """Return the environment variable of a setting: `TOQUE_LIMITS_BODY_BYTES_MAX`."""
    return PREFIX + "_".join(path).upper()


class Layers:
    """The merged table, and where each value came from."""

    def __init__(self, source: TomlSource | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> None:
        self._source = source
        self._origins: dict[KeyPath, str] = {}
        self.table: Table = _anchored(source) if source else {}
        self._add_environment(environment)
        for flag in FLAGS.keys() & flags.keys():
            self._set(FLAGS[flag], flags[flag], flag)
        self._add_keys()
        self._add_model(flags.get("SOURCE", ""), flags.get("--model-name", DEFAULT_MODEL))

    def origin(self, path: KeyPath) -> str:
        """Say where the value at `path` (or the table it stands in) came from."""
        for length in range(len(path), 0, -1):
            if found := self._origins.get(path[:length]):
                return found
        if self._source and self._holds(path):
            return self._source.where(path)
        return DEFAULT

    def blame(self, path: KeyPath) -> str:
        """Say where a person must look to change the value at `path`: its origin, or the place in the file."""
        origin = self.origin(path)
        if self._source and origin in (DEFAULT, self._source.where(path)):
            return self._source.place(path)
        return origin

    def _holds(self, path: KeyPath) -> bool:
        here: object = self.table
        for name in path:
            if not isinstance(here, dict) or name not in here:
                return False
            here = here[name]
        return True

    def _add_environment(self, environment: Mapping[str, str]) -> None:
        for path, entry in SERVICE.settings():
            if (name := variable(path)) in environment:
                self._set(path, _typed(environment[name], entry), name)

    def _set(self, path: KeyPath, value: object, origin: str) -> None:
        here = self.table
        for name in path[:-1]:
            inner = here.setdefault(name, {})
            if not isinstance(inner, dict):
                return  # not a table: the check of the file's own value tells it
            here = inner
        here[path[-1]] = value
        self._origins[path] = origin

    def _add_keys(self) -> None:
        """Add the keys of the key file. Raises `ConfigError` for one that cannot be used, or a name that stands twice."""
        path, keys = self.table.get("keys_file", ""), self.table.setdefault("keys", {})
        if not isinstance(path, str) or not path or not isinstance(keys, dict):
            return  # the check of the file's own value tells it
        for name, table in KeyFile(expanded(path)).read().items():
            if name in keys:
                raise ConfigError(
                    f"There are two keys {name!r}, one of them in {path}.",
                    where=self.blame(("keys", name)),
                    fix="Give one another name.",
                )
            keys[name] = table
            self._origins["keys", name] = path

    def _add_model(self, source: str, name: str) -> None:
        if not source and (self.table.get("models", {}) != {} or self._has_controllers()):
            return
        self.table["models"] = {name: {"source": source or "embedded", **_ASSUMED_SETTINGS}}
        self._origins["models",] = ASSUMED
        if source:
            self._origins["models", name, "source"] = "SOURCE"

    def _has_controllers(self) -> bool:
        """Whether the models come from a controller, and none is assumed."""
        cluster = self.table.get("cluster")
        return isinstance(cluster, dict) and bool(cluster.get("controllers"))


def _typed(text: str, entry: Entry) -> object:
    """Read a variable's text as the value that would stand in the file."""
    if entry.hint is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


NO_PATH = re.compile(r"(?:|-|embedded|off)$|env:|[a-z]+://")
"""What stands where a path may stand, and is none."""


def _anchored(source: TomlSource) -> Table:
    """Copy a file's table with its relative paths counted from the file's directory."""
    directory = Path(source.name).parent

    def anchor(value: object, path: KeyPath) -> object:
        if isinstance(value, dict):
            return {name: anchor(inner, (*path, name)) for name, inner in value.items()}
        entry = SERVICE.at(path)
        if not isinstance(entry, Entry) or not isinstance(value, str):
            return value
        is_path = entry.about.unit == "path"
        if (is_path or path[-1] == "key") and value.startswith("file:"):
            return f"file:{directory / expanded(value[5:])}"
        return str(directory / expanded(value)) if is_path and not NO_PATH.match(value) else value

    return {name: anchor(value, (name,)) for name, value in source.table.items()}
