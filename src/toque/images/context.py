"""The build context: a folder in which everything of an image lies where its recipe looks for it.

Law: names, modes and contents follow from the order alone; nothing of this machine (owner, umask, caches) gets in.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import toque
from toque.images.base import make_root
from toque.images.containerfile import containerfile
from toque.images.order import ImageOrder, Weights
from toque.images.packages import install
from toque.images.sbom import Part, debian_parts, document, file_part, python_parts

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o644, 0o755, 0o755
LIST_NAME = "contents.spdx.json"
_CACHES = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache")


def lay_out(order: ImageOrder, folder: Path) -> None:
    """Fill an empty folder. Raises `ConfigError` when a tool is missing or fails, `OSError` when there is no room."""
    for name in ("packages", "code", "agent", "settings", "contents"):
        (folder / name).mkdir()
    if order.base.suite:
        make_root(order.base, order.apt_sources, order.epoch_s, folder / "base.tar")
    install(order, folder / "packages")
    shutil.rmtree(folder / "packages" / "bin", ignore_errors=True)  # scripts that name an interpreter of this machine
    package = Path(toque.__file__).parent
    shutil.copytree(package, folder / "code" / "toque", ignore=_CACHES)
    for library in package.parent.glob("toque__mypyc.*"):  # a compiled copy's: docs/adr/0025
        shutil.copyfile(library, folder / "code" / library.name)
    for path in order.code:
        _copy(path, folder / "agent" / path.name)
    if order.weights is Weights.BAKED and order.source is not None:
        (folder / "models").mkdir()
        shutil.copyfile(order.source, folder / "models" / order.source.name)
    (folder / "settings" / "toque.toml").write_text(order.settings, "utf-8")
    listed = document(order.title, list(_parts(order, folder)), order.epoch_s)
    (folder / "contents" / LIST_NAME).write_text(listed, "utf-8")
    _even_out(folder)
    recipe = containerfile(order, hashlib.sha256(listed.encode()).hexdigest())
    (folder / "Containerfile").write_text(recipe, "utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_CACHES)
    else:
        shutil.copyfile(source, target)


def _parts(order: ImageOrder, folder: Path) -> Iterator[Part]:
    if order.base.suite:
        yield from debian_parts(folder / "base.tar", order.base.suite)
    yield from python_parts(folder / "packages")
    yield Part("toque", toque.__version__, f"pkg:pypi/toque@{toque.__version__}", "MIT")
    if order.source is not None and order.source.is_file():
        yield file_part(order.source)


def _even_out(folder: Path) -> None:
    """Give every file one of three modes, whatever umask it was made under, and drop what a tool left of its run."""
    for path in folder.rglob("*"):
        if path.name == "direct_url.json":
            path.unlink()
        elif path.is_dir():
            path.chmod(FOLDER_MODE)
        elif not path.is_symlink():
            path.chmod(PROGRAM_MODE if path.stat().st_mode & 0o100 else FILE_MODE)
