"""Events of a fleet that is more than one process: what others start, hold and allow.

Law: as in messages.py, of whose `Event` these are a part.
"""

from dataclasses import dataclass

from toque.model.condition import FailureCause
from toque.model.value import value


@value
class ReplicaDelayed:
    """The start of a replica waits for something, and may fail for it; `reason` is one sentence for a person."""

    replica_id: int
    cause: FailureCause
    reason: str


@value
class ReplicasAdopted:
    """So many replicas of this pool run already, left by a predecessor: as many starts of it will find one ready."""

    pool: str
    count: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What the record of who leads says: whose it is (empty: nobody's), and how long it holds after each change of it.

    `mark` differs after any change. `turns` is how often it went from one to another.
    """

    holder: str
    lease_s: float
    mark: str
    turns: int = 0
