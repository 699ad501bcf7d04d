"""Files and batches of a service: the store, the desk and the API's routes, joined to its gateway.

Law: one process has a file at a time, and who finds it taken is told by whom (L13); several share a server.
"""

import fcntl
import os
import platform
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from toque.batch.database import SERVER
from toque.batch.desk import Desk
from toque.batch.files import FileShelf
from toque.batch.jobs import LEASE_S, JobStore
from toque.batch.routes import BatchRoutes
from toque.batch.sqlite import SqliteDatabase
from toque.config.secret import REFERENCE, read_secret
from toque.gateway.server import Gateway
from toque.model.errors import ConfigError
from toque.model.service_spec import JobSpec
from toque.wire.asgi import AsgiHandler

OFF = "off"


@asynccontextmanager
async def open_jobs(spec: JobSpec, home: Path, gateway: Gateway) -> AsyncGenerator[None, None]:
    """Open the store and work on it until the end. Raises `ConfigError` for a store that cannot be used."""
    if spec.store == OFF:
        yield
        return
    with open_store_of(spec, home) as (store, shelf):
        desk = Desk(store, shelf, gateway.inside, in_flight_max=spec.in_flight_max, waiting_max=spec.waiting_max)
        routes = BatchRoutes(desk, store, shelf, file_bytes_max=spec.file_bytes_max)
        annex = AsgiHandler(routes.app())
        gateway.attach(annex, routes.streamed)
        desk.open()
        try:
            yield
        finally:
            await annex.close()
            await desk.close()


@contextmanager
def open_store_of(spec: JobSpec, home: Path) -> Iterator[tuple[JobStore, FileShelf]]:
    """Open the store of the settings: a file of ours, or a server, given as its URL or where its URL is."""
    place = spec.store or str(home / "jobs.sqlite")
    if REFERENCE.fullmatch(place):
        place = read_secret(place, os.environ).reveal()
        if not place.startswith(SERVER):
            raise ConfigError(f"{spec.store} has no URL of a PostgreSQL server", fix=f"let it begin with {SERVER}")
    if not place.startswith(SERVER):
        with open_store(Path(place), spec.lease_s) as opened:
            yield opened
        return
    with _open_server(place, spec.lease_s) as opened:
        yield opened


@contextmanager
def _open_server(url: str, lease_s: int) -> Iterator[tuple[JobStore, FileShelf]]:
    try:
        from toque.batch.postgres import PostgresDatabase  # noqa: PLC0415 - who has no server need not have its driver
    except ImportError as error:
        raise ConfigError(
            "jobs.store is a PostgreSQL server, and psycopg is not installed", fix="pip install 'toque[postgres]'"
        ) from error
    with closing(PostgresDatabase(url)) as database:
        yield JobStore(database, database.clock, lease_s), FileShelf(database, database.clock)


@contextmanager
def open_store(path: Path, lease_s: int = LEASE_S) -> Iterator[tuple[JobStore, FileShelf]]:
    """Open a store for this process alone. Raises `ConfigError` for one that cannot be used."""
    with _held(path), closing(SqliteDatabase(path)) as database:
        wall_clock = time.time  # noqa: TID251 - batches tell the wall clock, and it is stored
        store, shelf = JobStore(database, wall_clock, lease_s), FileShelf(database, wall_clock)
        store.recover()
        shelf.sweep(draft_s_max=0)
        yield store, shelf


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep the store for this process; the system gives it back when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"cannot write the job store {path}: {error.strerror}", fix="set jobs.store to a file, or to off"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise ConfigError(
                f"the job store {path} is used by another toque ({lock.read(200).strip() or 'unknown'})",
                fix="end that one, or set jobs.store to another file, or to off",
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}\n")
        lock.flush()
        yield
