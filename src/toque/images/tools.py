"""The programs that do the packing: found, run and listened to.

Law: an argument list, never a shell line of ours with somebody's text in it; what is missing is told with the way to get it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from toque.model.errors import ConfigError

PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
"""Program -> the Debian package that has it."""
LAST_LINES = 12


def run(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed. Raises `ConfigError` with its last lines when it fails."""
    if shutil.which(argv[0]) is None:
        raise ConfigError(
            f"{argv[0]} is not installed", fix=f"install it, with Debian: apt install {PACKAGES.get(argv[0], argv[0])}"
        )
    done = subprocess.run(  # noqa: S603 - a list of ours, no shell
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise ConfigError(f"{argv[0]} ended with status {done.returncode}:\n{last}")
    return done.stdout.strip()
