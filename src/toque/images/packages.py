"""The Python packages of an image: toque's own pins, and those that a user's agent needs.

Law: every file was named by its hash before it was fetched; nothing is built here and nothing of a package runs.
"""

import platform
import sys
from pathlib import Path

from toque.images.order import ImageOrder
from toque.images.tools import run

REPLICA_PINS = Path(__file__).with_name("requirements.txt")
SERVICE_PINS = Path(__file__).with_name("service.txt")
"""Written by `./dev pin`, with hashes: what a replica needs to run; what toque itself needs wherever it may serve, in a cluster too."""
GLIBC_MINOR_MIN = 17
"""The oldest that wheels are made for today (manylinux2014)."""


def install(order: ImageOrder, target: Path) -> None:
    """Put the packages into the folder `target`. Raises `ConfigError` when pip cannot."""
    base = order.base
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(base.glibc_minor, GLIBC_MINOR_MIN - 1, -1)]
    for pins in (SERVICE_PINS if order.model is None else REPLICA_PINS, order.requirements):
        if pins is not None:
            _install(pins, base.python, [*platforms, f"manylinux2014_{machine}"], target)


def _install(pins: Path, python: str, platforms: list[str], target: Path) -> None:
    only = ("--only-binary=:all:", "--no-deps", "--require-hashes", "--no-compile", "--implementation", "cp")
    tags = [word for tag in platforms for word in ("--platform", tag)]
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-conflicts")
    where = ("--python-version", python, "--target", str(target), "--upgrade")
    run((sys.executable, "-m", "pip", "install", *quiet, *only, *where, *tags, "-r", str(pins)))
