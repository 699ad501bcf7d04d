"""What a scaling policy is: a number of replicas for what is seen, and whether time alone may change it.

Law: a policy knows no bounds, rates or delays (the guard does) and no clock but `now`.
"""

from typing import Protocol

from toque.model.decision import Desired, Observation


class Policy(Protocol):
    """Says how many replicas are wanted. A pool at rest is not asked, unless the policy says that time matters to it.

    Whoever inherits from it needs to write `interval_s` and `desire` only.
    """

    interval_s: float
    """Seconds between two questions, unless the settings say otherwise."""

    @property
    def foresees(self) -> bool:
        """Whether it may want more replicas later without any request: a schedule, a plan, a floor that must end."""
        return False

    @property
    def holds_back(self) -> bool:
        """Whether a delay or window of its own keeps more replicas now than the load needs."""
        return False

    def desire(self, seen: Observation, now: float) -> Desired:
        """Answer for what is seen; called at most once an interval."""
        ...
