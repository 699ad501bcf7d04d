"""The standing line: one that has refused for long is no burst any more, and takes fewer than it could.

Law: a short line keeps the slots as busy as a long one; what a long one adds is the wait, also for those who come when the load
has dropped, and for those refused, who are told to come again after as long. A line is shortened only while no more capacity is
on its way, never below one for each slot, and batch's never: nobody waits for that.

After CoDel (Nichols and Jacobson, Controlling queue delay, 2012): a queue that does not go away is bad, one that absorbs a burst
is good.
"""

from math import inf

from toque.core.outlook import Outlook
from toque.core.queue import Line
from toque.model.spec import QueueSpec
from toque.model.ticket import RefusalReason, ServiceClass

EASED_S = 5.0
"""When nobody was refused for so long, the line is as long as it may be again."""
FULL = frozenset({RefusalReason.QUEUE_FULL, RefusalReason.RATE_LIMITED, RefusalReason.QUEUE_TIMEOUT})
"""Refusals for want of room or of time, but for no other trouble."""


class Standing:
    """Since when one pool refuses interactive requests, and how long its line may be for that."""

    __slots__ = ("_last_at", "_line", "_outlook", "_since", "_spec")

    def __init__(self, spec: QueueSpec, line: Line, outlook: Outlook) -> None:
        self._spec = spec
        self._line = line
        self._outlook = outlook
        self._since = self._last_at = -inf

    def revise(self, spec: QueueSpec) -> None:
        """Go by other settings from the next refusal on."""
        self._spec = spec

    @property
    def reason(self) -> str:
        """Say for a person that the line was shortened; empty where it was not."""
        shortened = self._line.shortened
        return f"the line was shortened to {shortened}: it refused requests for long" if shortened is not None else ""

    def is_full(self, service_class: ServiceClass, now: float) -> bool:
        """Whether the line takes nobody more of a class. A shortened one is long again once its time is over."""
        if self._line.shortened is not None and now - self._last_at > EASED_S:
            self._line.shortened = None
        return self._line.is_full(service_class)

    def refused(self, service_class: ServiceClass, reason: RefusalReason, now: float) -> None:
        """Somebody was refused. 1. It is the first for a while; 2. it has gone on for long: the line is shortened."""
        if reason not in FULL or service_class is not ServiceClass.INTERACTIVE:
            return
        if now - self._last_at > EASED_S:  # 1
            self._since = now
        self._last_at = now
        if self._spec.standing_s and now - self._since >= self._spec.standing_s:  # 2
            self._line.shortened = self._outlook.served_within(min(self._spec.standing_wait_s, self._spec.wait_s_max))
