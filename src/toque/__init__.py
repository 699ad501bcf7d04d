"""toque: an inference control plane and gateway. `open()` gives the fleet in process, without HTTP."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toque.app.fleet import OpenFleet

__version__ = "0.1.0"


def open(settings: str | Path | None = None) -> "AbstractAsyncContextManager[OpenFleet]":  # noqa: A001 - as `io.open`
    """Open a fleet: `async with toque.open("toque.toml") as fleet: agent = fleet.agent("chat")`.

    Without a path it takes ./toque.toml or, where there is none, the embedded model as `chat`. Raises `ConfigError`.
    """
    from toque.app.fleet import open_fleet  # noqa: PLC0415 - `toque --help` must not pay for it

    return open_fleet(settings)
