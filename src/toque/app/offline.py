"""A file of requests run through a fleet in this process, without a server.

Law: what is done stays done: a run that ends in the middle, also by SIGKILL, goes on where its store says when it is
asked for again. The output appears whole, and then the store is gone.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from toque.app.fleet import open_fleet
from toque.app.jobs import open_store
from toque.app.lineup import Announce
from toque.batch.desk import Desk
from toque.batch.files import FileShelf
from toque.batch.jobs import JobStore
from toque.batch.lines import whole_lines
from toque.gateway.auth import EVERYBODY, KeyRing
from toque.gateway.server import Gateway
from toque.model.batch import ENDED, Batch, BatchOrder, Purpose
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.records.metrics import Metrics

STORE_SUFFIX = ".toque"
WINDOW_S = 365 * 24 * 3600
"""Nobody waits for it but whoever started it, who can stop it."""


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """What to run, and where to. `model` is put into every request; empty: each names its own."""

    source: Path
    output: Path
    endpoint: str
    model: str = ""

    @property
    def store(self) -> Path:
        """Where it keeps what is done."""
        return self.output.with_name(self.output.name + STORE_SUFFIX)

    @property
    def errors(self) -> Path:
        """Where the requests that failed go."""
        return self.output.with_name(f"{self.output.stem}.errors{self.output.suffix}")


async def run_offline(spec: ServiceSpec, run: OfflineRun, announce: Announce, tell: Callable[[Batch], None]) -> Batch:
    """Run a file to its end. `tell` learns the counts as they change.

    Raises `ConfigError` for a source that cannot be read, or a store that belongs to another.
    """
    with open_store(run.store) as (store, shelf):
        batch = await asyncio.to_thread(_take_up, run, store, shelf)
        async with open_fleet(_all_for_batch(spec), announce) as fleet:
            gateway = Gateway(fleet.controller, fleet.dialects, KeyRing(()), spec.limits, metrics=Metrics())
            desk = Desk(
                store,
                shelf,
                gateway.inside,
                in_flight_max=spec.jobs.in_flight_max,
                waiting_max=spec.jobs.waiting_max,
            )
            desk.open()
            try:
                while batch.status not in ENDED:
                    await desk.next_turn()
                    batch = await desk.off_loop(_found, store, batch.id)
                    tell(batch)
            finally:
                await desk.close()
                await gateway.close()
        await asyncio.to_thread(_write_out, run, batch, shelf)
    for path in (run.store, *(run.store.with_name(run.store.name + suffix) for suffix in (".lock", "-wal", "-shm"))):
        path.unlink(missing_ok=True)
    return batch


def _all_for_batch(spec: ServiceSpec) -> ServiceSpec:
    """Let batch have as many replicas as there may be: nobody else is here."""
    pools = [replace(m.pool, batch=replace(m.pool.batch, replicas=m.pool.replicas.maximum)) for m in spec.models]
    models = tuple(replace(model, pool=pool) for model, pool in zip(spec.models, pools, strict=True))
    return replace(spec, models=models)


def _take_up(run: OfflineRun, store: JobStore, shelf: FileShelf) -> Batch:
    """Find the batch that was begun before, or begin one. Blocks."""
    try:
        with run.source.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            known = store.all_of(EVERYBODY.tenant, limit=1)
            wanted = {"source": digest, "model": run.model, "endpoint": run.endpoint}
            if known:
                if dict(known[0].order.metadata) != wanted:
                    raise ConfigError(
                        f"{run.store} is of another run (other requests, model or endpoint)",
                        fix="remove it, or name another output",
                    )
                return known[0]
            source.seek(0)
            stored = shelf.put(
                EVERYBODY.tenant, Purpose.BATCH, run.source.name, whole_lines(source, run.endpoint, run.model)
            )
    except OSError as error:
        raise ConfigError(f"cannot read {run.source}: {error.strerror}", fix="name a file of JSON lines") from error
    return store.create(BatchOrder(EVERYBODY.tenant, run.endpoint, stored.id, "run", WINDOW_S, wanted))


def _found(store: JobStore, batch_id: str) -> Batch:
    batch = store.find(EVERYBODY.tenant, batch_id)
    assert batch is not None, "nobody else has this store"
    return batch


def _write_out(run: OfflineRun, batch: Batch, shelf: FileShelf) -> None:
    """Put the answers, and what failed, where they were asked for, each whole. Blocks."""
    for path, file_id in ((run.output, batch.output_file_id), (run.errors, batch.error_file_id)):
        stored = shelf.find(EVERYBODY.tenant, file_id)
        if stored is None:
            continue
        fresh = path.with_name(path.name + ".part")
        with fresh.open("wb") as out:
            out.writelines(shelf.read(stored))
        fresh.replace(path)
