"""The embedded model's image, built for real and run for real: no daemon, everything in one folder that is thrown away."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.children import Replica
from toque.model.agent_spec import Secret
from toque.model.endpoint import Endpoint

TOOLS = ("buildah", "mmdebstrap", "podman", "runc")
SETTINGS = '[models.chat]\nsource = "embedded"\nslots = 4\nthreads = 1\n'
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""Lower than this machine's own, which a container's runtime may not raise."""
READY_S = 60.0
BUILD_S = 400.0
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


@dataclass(frozen=True)
class Image:
    """The embedded model's, built once for all tests."""

    folder: Path
    digest: str

    @property
    def layout(self) -> Path:
        """Where it lies in OCI's layout."""
        return self.folder / "layout"


def need(*tools: str) -> None:
    """Leave a test out, and say why, where its tools are not installed."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def place() -> Iterator[Path]:
    """A folder with a short name, for the tools' sockets; what they leave in it goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="toque-"))
    try:
        yield folder
    finally:
        clean_up(folder)


def build(folder: Path, *options: str, model: str = "chat") -> str:
    """Build with `toque image build`, from nothing but what is in the folder; return the digest."""
    settings = folder / "toque.toml"
    settings.write_text(SETTINGS)
    mirrors = [str(path) for path in SOURCES if path.is_file()]
    argv = [sys.executable, "-m", "toque", "image", "build", *([model] if model else []), "--config", str(settings)]
    argv += ["--storage", str(folder / "storage"), "--apt-sources", mirrors[0], *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def clean_up(folder: Path) -> None:
    """Take away what containers and layers left mounted or unreadable."""
    storage = ["--root", str(folder / "storage" / "images"), "--runroot", str(folder / "storage" / "run")]
    subprocess.run(["buildah", *storage, "rmi", "--all", "--force"], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def podman(folder: Path) -> list[str]:
    """The command line that reads images from the folder they were built in, and needs no system manager."""
    storage = ["--root", str(folder / "storage" / "images"), "--runroot", str(folder / "storage" / "run")]
    runtime = ["--runtime", shutil.which("runc") or "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    return ["podman", *storage, *runtime]


@contextmanager
def container(folder: Path) -> Iterator[Replica]:
    """Run a replica as strictly as can be: nobody, no privilege, a root that is read-only; yield it when it is healthy."""
    secret, port, name = secrets.token_urlsafe(24), free_port(), f"toque-test-{secrets.token_hex(4)}"
    strict = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host"]
    words = ["run", "--rm", "--name", name, *strict, *LIMITS, "--env", "TOQUE_REPLICA_SECRET", "localhost/toque-chat"]
    command = ["replica", "chat", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*podman(folder), *words, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TOQUE_REPLICA_SECRET": secret},
    )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
        yield Replica(Endpoint("127.0.0.1", port, key=Secret(secret)), process)
    finally:
        subprocess.run([*podman(folder), "stop", "--time", "5", name], capture_output=True, check=False)
        process.communicate(timeout=30)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry that keeps its images in the folder; yield where it listens."""
    folder.mkdir()
    host = f"127.0.0.1:{free_port()}"
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/kept\nhttp:\n  addr: {host}\n"
    )
    process = subprocess.Popen(
        [shutil.which("docker-registry") or "", "serve", str(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until_healthy(f"http://{host}/v2/", process)
        yield host
    finally:
        process.terminate()
        process.communicate(timeout=10)


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Return once it answers; say what it wrote when it ends instead."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            with urlopen(url, timeout=1):
                return
        except (URLError, OSError):
            try:
                said, _ = process.communicate(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the container ended with {process.returncode}: {said.decode()[-2000:]}") from None
    raise AssertionError(f"{url} did not answer within {READY_S} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
