"""Where toque keeps what it learns: the ledger, the embedded model, traces of its children.

Law: one directory, only the owner's to read, named by the settings or by the usual cache directory.
"""

from collections.abc import Mapping
from pathlib import Path


def state_dir(named: str, environment: Mapping[str, str]) -> Path:
    """Return the directory, made if it was not there."""
    path = Path(named) if named else _cache_home(environment) / "toque"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _cache_home(environment: Mapping[str, str]) -> Path:
    named = environment.get("XDG_CACHE_HOME", "")
    return Path(named) if named else Path("~/.cache").expanduser()
