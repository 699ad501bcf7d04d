"""A fleet's view as the stories of advice need it: pools that want so many replicas."""

from toque.model.decision import Decision, Desired, Observation
from toque.model.resources import Resources
from toque.model.spec import ColdStart
from toque.model.view import FleetView, PoolView


def wants(
    pool: str, replicas: int, *, in_flight: int = 0, waiting: int = 0, minimum: int = 0, maximum: int = 8
) -> PoolView:
    """A pool whose policy wants so many."""
    seen = Observation(in_flight, waiting, 0, 0, 0, 0.0, 0.0, 0.0, 2, 0.0, 0.0)
    decision = Decision(pool, seen, Desired(replicas, "as told"), Desired(replicas, "as wanted"), 0, 0)
    return PoolView(pool, "ok", "", (), in_flight, waiting, 0, 2, minimum, maximum, ColdStart(), decision)


class Kitchen:
    """Its view is what a story sets."""

    def __init__(self, *pools: PoolView, leader: str = "") -> None:
        self.pools = pools
        self.leader = leader

    def view(self) -> FleetView:
        return FleetView(0.0, False, Resources(), Resources(), self.pools, leader=self.leader)
