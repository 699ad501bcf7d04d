"""Weights that an image does not hold: fetched once at the start, over HTTPS or HTTP, and checked.

Law: a file gets its name only when it is what was asked for, byte by byte; the address comes from whoever made the image
or the settings, never from a request.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import Request, urlopen

from toque.model.errors import ConfigError

STALLED_S = 60.0
"""A download of which nothing came for so long is given up; whoever runs the container starts it again."""
_BLOCK_BYTES = 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(url: str, sha256: str, target: Path, progress: Callable[[int], None]) -> None:
    """Have the file at `target`, from `url` if it is not there yet. `progress` hears how many bytes there are.

    Raises `ConfigError` for an address that is not http(s), one that does not answer, no room, or another file.
    """
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"{url!r} is no address to fetch from", fix="give one that begins with https:// or http://")
    if not _SHA256.fullmatch(sha256):
        raise ConfigError("What is fetched must be known by its digest", fix="add --weights-sha256 with 64 hex digits")
    if target.is_file():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".fetching-", dir=target.parent) as folder:
            unchecked = Path(folder) / target.name
            digest = _download(url, unchecked, progress)
            if not hmac.compare_digest(digest, sha256):
                raise ConfigError(f"{url} holds another file than expected ({digest})", fix="correct URL or digest")
            unchecked.rename(target)
    except URLError as error:
        raise ConfigError(f"{url} cannot be fetched: {error.reason}", fix="see that this machine reaches it") from error
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be kept: {error.strerror or error}", fix="mount a volume with room"
        ) from error


def _download(url: str, unchecked: Path, progress: Callable[[int], None]) -> str:
    digest, size = hashlib.sha256(), 0
    with urlopen(Request(url), timeout=STALLED_S) as answer, unchecked.open("wb") as file:  # noqa: S310 - checked above
        while block := answer.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
            size += len(block)
            progress(size)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
