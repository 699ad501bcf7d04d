"""Building and pushing: buildah does it, without a daemon and without running anything of the image.

Law: one time for every file and layer, one order of files, one compression: the same context gives the same digest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from toque.images.context import lay_out
from toque.images.order import ImageOrder
from toque.images.tools import run


@dataclass(frozen=True, slots=True)
class Storage:
    """Where buildah keeps images. An empty `root` is its own default; else a folder that holds all of it."""

    root: str = ""

    def options(self) -> tuple[str, ...]:
        """Return the words that come right after the program's name."""
        if not self.root:
            return ()
        return ("--root", f"{self.root}/images", "--runroot", f"{self.root}/run")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the image goes: a name in the storage, and if wanted a registry's reference and a folder in OCI's layout."""

    name: str
    push: str = ""
    layout: str = ""
    tls_verify: bool = True


def build(order: ImageOrder, target: Target, storage: Storage, tell: Callable[[str], None]) -> str:
    """Build the image and put it where it is wanted; return its digest (`sha256:...`), the same wherever it lies.

    Raises `ConfigError` when a tool is missing or fails.
    """
    with TemporaryDirectory(prefix="toque-image-") as folder:
        context = Path(folder) / "context"
        context.mkdir()
        tell("gathering what goes in")
        lay_out(order, context)
        tell("building")
        made = ("--format", "oci", "--layers=true", "--timestamp", str(order.epoch_s))
        run(
            (
                "buildah",
                *storage.options(),
                "build",
                "--quiet",
                "--isolation",
                "chroot",
                *made,
                "-t",
                target.name,
                str(context),
            )
        )
        return _deliver(target, storage, Path(folder), tell)


def _deliver(target: Target, storage: Storage, folder: Path, tell: Callable[[str], None]) -> str:
    """Write it out; without any destination a layout that is thrown away gives the digest."""
    destinations = [f"docker://{target.push}"] if target.push else []
    destinations.append(f"oci:{target.layout or folder / 'layout'}")
    told = folder / "digest"
    for destination in destinations:
        if target.push or target.layout:
            tell(f"writing {target.push if destination.startswith('docker') else target.layout or 'its digest'}")
        options = (
            "--quiet",
            "--format",
            "oci",
            "--digestfile",
            str(told),
            f"--tls-verify={str(target.tls_verify).lower()}",
        )
        run(("buildah", *storage.options(), "push", *options, target.name, destination))
    return told.read_text().strip()
