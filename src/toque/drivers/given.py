"""The driver of a gateway in an alliance: its replicas are found, started and stopped by its controller.

Law: as in elsewhere.py, but where replicas are is told by whoever joins the alliance, and so is that one is gone.
"""

from toque.drivers.elsewhere import ElsewhereDriver
from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.ports import ReplicaStatus


class GivenDriver(ElsewhereDriver):
    """See `ports.Driver`."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._endpoints = site.given
        self._mark = site.mark

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Raise `ConfigError`: nothing is started here."""
        raise ConfigError(f"Replicas of {model.pool.name} are started by the controller of this gateway.")

    def status(self, replica_id: int) -> ReplicaStatus:
        """What everybody calls it; all else the controller knows."""
        return ReplicaStatus(name=self._mark(replica_id))
