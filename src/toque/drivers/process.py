"""The driver for replicas that are child processes of this one. Linux: it stands on pidfds, PDEATHSIG and /proc.

Law: a child is ended by whoever started it, also when that one is killed: by the kernel at once, or at the next start by
process id and start time.
"""

import asyncio
import secrets
from dataclasses import replace

from toque.drivers.cage import Cage, Cages, Objection
from toque.drivers.leftovers import Leftovers
from toque.drivers.life import ReplicaLife
from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import ConfigError
from toque.ports import ReplicaStatus

SECRET_BYTES = 32
ENDED_MAX = 32
"""Gone replicas whose last lines are kept; at most 50 lines of 2 KiB each."""


class ProcessDriver:
    """See `ports.Driver`. Opening it ends what a killed predecessor left behind."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lives: dict[int, ReplicaLife] = {}
        self._ended: dict[int, ReplicaStatus] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._leftovers = Leftovers(site.state_dir)
        self._leftovers.reap()
        self._cages = Cages(self._leftovers)
        self._objections: set[tuple[str, Objection]] = set()

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Begin to start a replica. Raises `ToqueError` when there is nothing to start."""
        secret = Secret(secrets.token_urlsafe(SECRET_BYTES))
        launch = self._site.launch(model, secret)
        if launch is None:
            raise ConfigError(f"Replicas of {model.pool.name} run elsewhere; nothing can be started here.")
        launch = replace(launch, environment={**launch.environment, **self._leftovers.mark})
        cage = Cage(model.isolation, self._cages, lambda objection: self._object(model.pool.name, objection))
        life = ReplicaLife(replica_id, model, launch, secret, self._site, cage)
        task = asyncio.create_task(life.live(self._leftovers))
        self._lives[replica_id] = life
        self._tasks[replica_id] = task
        task.add_done_callback(lambda _: self._bury(replica_id))

    def stop(self, replica_id: int) -> None:
        """Begin to end a replica; one that is gone already has been reported so."""
        if replica_id in self._lives:
            self._lives[replica_id].stop()

    def probe(self, replica_id: int) -> None:
        """Find out now whether the replica is alive."""
        if replica_id in self._lives:
            self._lives[replica_id].probe()

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached; None before it is ready and after it is gone."""
        life = self._lives.get(replica_id)
        return life.endpoint if life else None

    def is_ours(self, replica_id: int) -> bool:
        """Whether the process we started still runs, so that nobody else can have its port."""
        life = self._lives.get(replica_id)
        return life is not None and life.is_alive()

    def status(self, replica_id: int) -> ReplicaStatus:
        """What is known for display, also of the last few that are gone; empty when the replica is unknown."""
        life = self._lives.get(replica_id)
        return life.status() if life else self._ended.get(replica_id, ReplicaStatus())

    async def close(self) -> None:
        """End every replica and wait until nothing is left. Cancelled: kill them at once."""
        for life in self._lives.values():
            life.stop()
        try:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        finally:
            self._cages.close()
            self._leftovers.close()

    def _object(self, name: str, objection: Objection) -> None:
        """Say once a model what does not hold here."""
        if (name, objection) not in self._objections:
            self._objections.add((name, objection))
            self._site.notice(f"isolation of {name}: {objection}")

    def _bury(self, replica_id: int) -> None:
        """Keep the last words only, of the last few: they tell why a pool is in a crash loop."""
        self._ended[replica_id] = self._lives.pop(replica_id).status()
        del self._tasks[replica_id]
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]
