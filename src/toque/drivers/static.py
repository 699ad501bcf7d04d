"""The driver for replicas that somebody else runs, such as a hosted API: nothing is started or stopped.

Law: as in elsewhere.py: "alive" means that the address can be reached, and no more.
"""

from toque.drivers.elsewhere import ElsewhereDriver
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.model.messages import ReplicaReady


class StaticDriver(ElsewhereDriver):
    """See `ports.Driver`."""

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Know of a replica: it is ready at once. Raises `ConfigError` for a bad URL or key reference."""
        endpoint = self._site.locate(model)
        if endpoint is None:
            raise ConfigError(f"Replicas of {model.pool.name} have no address: they are started, not found.")
        self._endpoints[replica_id] = endpoint
        self._site.report(ReplicaReady(replica_id))
