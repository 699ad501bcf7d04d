"""The driver of a gateway in an alliance: its replicas are found, started and stopped by its controller.

Law: as in static.py, but where replicas are is told by whoever joins the alliance, and so is that one is gone.
"""

from toque.drivers.site import Site
from toque.drivers.static import StaticDriver
from toque.ports import ReplicaStatus


class GivenDriver(StaticDriver):
    """See `ports.Driver`."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._endpoints = site.given
        self._mark = site.mark

    def status(self, replica_id: int) -> ReplicaStatus:
        """What everybody calls it; all else the controller knows."""
        return ReplicaStatus(name=self._mark(replica_id))
