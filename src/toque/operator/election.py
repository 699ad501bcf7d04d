"""The election: who of several controllers decides. One record in the cluster (a Lease) says so; whoever wrote it last leads.

Law: pure; what is heard and the time come in, what to ask next comes out. A leader stops deciding `renew_s_max` after it sent its
last good renewal, and nobody takes over before `lease_s` have passed since they last saw the record change: as long as clocks run
alike within a third, two never decide at once, whatever the API server does.
"""

from enum import Enum
from math import inf

from toque.model.cluster import Claim
from toque.model.cluster_spec import ClusterSpec


class Ask(Enum):
    """What to ask the cluster: `LOOK` at the record, or `WRITE` it as ours, if it is still as we saw it."""

    LOOK = "look"
    WRITE = "write"


class Election:
    """One candidate's part. `name` is unlike every other's, even one of the same Pod before. Times are of one steady clock."""

    def __init__(self, name: str, spec: ClusterSpec, now: float) -> None:
        self.name = name
        self._spec = spec
        self.claim: Claim | None = None
        """The record as last seen; None: there is none, or it was not looked at yet."""
        self._claim_at = now
        """Since when the record is as it is, as far as we saw."""
        self._must_look = True
        self._renewed_at = -inf
        self._next_at = now
        self.is_leading = False
        self.trouble = ""
        """Why the record could not be read or written last; empty when it could."""

    @property
    def holder(self) -> str:
        """Who leads as far as is known; empty for nobody."""
        return self.claim.holder if self.claim is not None else ""

    @property
    def until(self) -> float:
        """Until when we may decide; -inf while we do not lead."""
        return self._renewed_at + self._spec.renew_s_max if self.is_leading else -inf

    @property
    def next_at(self) -> float:
        """When to `wake` it, if nothing else happens before."""
        return min(self._next_at, self.until) if self.is_leading else self._next_at

    def wake(self, now: float) -> Ask | None:
        """Say what to ask now; None: nothing yet. A leader whose time is up stands down here, whatever it asked meanwhile.

        1. we lead, and know the record as ours: renew it; 2. it is free, or was silent for its time: take it; 3. else look.
        """
        if self.is_leading and now >= self.until:
            self.is_leading = False
            self._must_look = True
        if now < self._next_at:
            return None
        if self._must_look:
            return Ask.LOOK
        return Ask.WRITE if self.is_leading or self._is_free(now) else Ask.LOOK  # 1, 2, 3

    def heard(self, claim: Claim | None, now: float) -> None:
        """Take the answer to a look."""
        self.trouble = ""
        self._must_look = False
        if claim is None or self.claim is None or claim.mark != self.claim.mark:
            self._claim_at = now
        self.claim = claim
        if self.is_leading and self.holder != self.name:  # somebody gave it to another one by hand
            self.is_leading = False
        if self.is_leading or self._is_free(now):
            self._next_at = now
        elif claim is not None:
            self._next_at = min(now + self._spec.renew_s, self._claim_at + claim.lease_s)

    def written(self, mark: str, asked_at: float, now: float) -> None:
        """Our writing is done; it counts from when it was asked for, for nobody knows when in between it came true."""
        self.trouble = ""
        self.claim = Claim(self.name, self._spec.lease_s, mark)
        self._claim_at = now
        self._renewed_at = asked_at
        self.is_leading = now < asked_at + self._spec.renew_s_max
        self._next_at = max(now, asked_at + self._spec.renew_s)

    def outrun(self, now: float) -> None:
        """The record was not as we saw it: look who wrote it."""
        self.trouble = ""
        self._must_look = True
        self._next_at = now

    def unanswered(self, reason: str, now: float) -> None:
        """Nothing came of what was asked. It may have come true all the same, so look before anything else."""
        self.trouble = reason
        self._must_look = True
        self._next_at = now + self._spec.renew_s / 2

    def resign(self) -> None:
        """Lead no more: the election is over for us."""
        self.is_leading = False
        self._next_at = inf

    def _is_free(self, now: float) -> bool:
        """Whether the record may be taken: 1. there is none; 2. it is nobody's, or ours; 3. its holder was silent for its time."""
        if self.claim is None:  # 1
            return True
        if self.claim.holder in ("", self.name):  # 2
            return True
        return now >= self._claim_at + self.claim.lease_s  # 3
