"""A real PostgreSQL server for tests: started by its own programs on a free port of loopback, and gone at the end.

Where the server is not installed, whoever asks for it is skipped with a word.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

UNPRIVILEGED = "nobody"
"""PostgreSQL does not run as root; where tests do, it runs as this user."""
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin")
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=50", "listen_addresses=127.0.0.1")


class PostgresServer:
    """A running server. Nobody pulls its plug, so it need not wait for the disk."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._programs = programs
        self._folder = folder
        self._port = port
        self._count = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql://toque@127.0.0.1:{self._port}/postgres"

    def database(self) -> str:
        """Make a fresh, empty database and return its URL."""
        self._count += 1
        name = f"story{self._count}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")  # type: ignore[arg-type]
        return f"postgresql://toque@127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={self._folder}"))
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", f"{options} -p {self._port}", "start")

    def stop(self) -> None:
        """Stop at once, as a server that crashes; its connections are cut."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def make(self) -> None:
        """Make the server's files."""
        self._run("initdb", "-U", "toque", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def _run(self, program: str, *arguments: str) -> None:
        argv = [str(self._programs / program), "-D", str(self._folder / "files"), *arguments]
        done = subprocess.run(
            argv, user=_user(), check=False, capture_output=True, text=True, timeout=60, cwd=self._folder
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Start a server, or skip the test."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="toque-postgres-"))  # a short path: a socket's name has 107 bytes
    if (user := _user()) is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = PostgresServer(programs, folder, _free_port())
    try:
        server.make()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
    """Find the server's programs, which are often on nobody's path; the newest of several."""
    for place in PLACES:
        root, _, pattern = place[1:].partition("/")
        found = sorted(Path(f"/{root}").glob(f"{pattern}/initdb"))
        if found:
            return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _user() -> str | None:
    return UNPRIVILEGED if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
