"""Where the peers come from: the package registries, each into a place of its own under .bench/.

Law: nothing outside that folder is changed; what cannot be had is skipped with a word.
"""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".bench"


class NotHadError(Exception):
    """A peer cannot be had here; the message says why."""


def python_package(requirement: str, command: str) -> Path:
    """Install a package into an environment of its own, the first time, and return one of its commands."""
    place = FOLDER / command
    path = place / "bin" / command
    if path.exists():
        return path
    print(f"installing {requirement} into {place}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(place)])
    _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
    if not path.exists():
        raise NotHadError(f"{requirement} has no command {command}")
    return path


def nginx() -> Path:
    """The nginx that is there, or the distribution's, unpacked and not installed."""
    path = found_nginx()
    if path is not None:
        return path
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise NotHadError("nginx is not installed, and there is no apt-get to fetch it with")
    place = FOLDER / "nginx"
    place.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "nginx"], place)
    for package in place.glob("nginx_*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(place)])
    path = found_nginx()
    if path is None:
        raise NotHadError("the distribution's package nginx holds no nginx")
    return path


def found_nginx() -> Path | None:
    """The nginx that needs no installing; None where there is none."""
    places = (shutil.which("nginx"), "/usr/sbin/nginx", FOLDER / "nginx" / "usr" / "sbin" / "nginx")
    return next((Path(place) for place in places if place and Path(place).exists()), None)


def _run(command: list[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHadError(str(error)) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise NotHadError(f"{Path(command[0]).name} failed: {lines[-1]}")
