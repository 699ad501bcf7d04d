"""The ground of an image: a Debian root with Python and without a shell, made by mmdebstrap, or an image by its reference.

Law: packages are unpacked and never configured, so that no script of theirs runs and the root is the same each time; each
leaves its record in var/lib/dpkg/status.d, where scanners of images look.
"""

from pathlib import Path

from toque.images.order import Base
from toque.images.tools import run

KEPT = "--dpkgopt=path-include=/usr/share/doc/*/copyright"
DROPPED = ("doc", "man", "info", "locale", "lintian", "bug")
_RECORD = """
set -eu
mkdir -p "$1/var/lib/dpkg/status.d"
for package in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb --field "$package" > "$1/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"
"""


def make_root(base: Base, sources: Path | None, epoch_s: int, target: Path) -> None:
    """Write the root's archive to `target` (.tar). `sources`: apt's list of mirrors instead of Debian's own.

    Raises `ConfigError` when mmdebstrap is missing or fails.
    """
    hook = target.with_suffix(".hook")
    hook.write_text(_RECORD)
    packages = (f"python{base.python}", "libstdc++6", "libgomp1", "ca-certificates", "tzdata")
    dropped = (f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in DROPPED)
    options = ("--quiet", "--variant=extract", f"--include={','.join(packages)}", f'--extract-hook=sh {hook} "$1"')
    mirrors = (str(sources),) if sources is not None else ()
    run(
        ("mmdebstrap", *options, *dropped, KEPT, base.suite, str(target), *mirrors),
        {"SOURCE_DATE_EPOCH": str(epoch_s)},
    )
    hook.unlink()
