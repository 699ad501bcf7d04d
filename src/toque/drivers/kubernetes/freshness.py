"""Whether what we know of the cluster is what there is: all watches together.

Law: nothing is changed in a cluster while it is not, for a decision about what one does not see is none.
"""

import asyncio
from collections.abc import Callable


class Freshness:
    """`turn` is told by each watch; `turned` learns of the whole: a reason when something is stale, empty when nothing is."""

    def __init__(self, sources: frozenset[str], turned: Callable[[str], None]) -> None:
        self._reasons = dict.fromkeys(sources, "nothing is known of it yet")
        self._turned = turned
        self._is_fresh = asyncio.Event()

    @property
    def reason(self) -> str:
        """Why it is not fresh; empty when it is."""
        return next((reason for reason in self._reasons.values() if reason), "")

    def turn(self, source: str, reason: str) -> None:
        """One watch has become stale, for this reason, or fresh (empty)."""
        was = self.reason
        self._reasons[source] = reason
        if self.reason == was:
            return
        if self.reason:
            self._is_fresh.clear()
        self._turned(self.reason)
        if not self.reason:
            self._is_fresh.set()

    async def wait(self) -> None:
        """Return when it is fresh."""
        await self._is_fresh.wait()
