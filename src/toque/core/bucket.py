"""A token bucket: so much at once, and evenly filled again within a minute.

Law: never above its size. It may be overdrawn, when something took more than was expected; then it fills from below.
"""

from math import floor

from toque.model.usage import Standing

MINUTE_S = 60.0


class Bucket:
    """Made full. `now` never goes back."""

    __slots__ = ("_at", "_level", "size")

    def __init__(self, size: int, now: float) -> None:
        self.size = size
        self._level = float(size)
        self._at = now

    def level(self, now: float) -> float:
        """What is in it; below 0 when overdrawn."""
        level = self._level + (now - self._at) * self.size / MINUTE_S
        return level if level < self.size else float(self.size)

    def take(self, amount: float, now: float) -> None:
        """Take so much out, or put it back when it is below 0."""
        self._level = min(float(self.size), self.level(now) - amount)
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """How long until so much is in it. What is larger than the bucket has it when it is full."""
        lacking = (min(self.size, amount)) - self.level(now)
        return lacking * MINUTE_S / self.size if lacking > 0 else 0.0

    def standing(self, now: float) -> Standing:
        """How far it is used up."""
        level = self.level(now)
        return Standing(self.size, floor(level) if level > 0 else 0, (self.size - level) * MINUTE_S / self.size)

    def resize(self, size: int, now: float) -> None:
        """Hold another amount from now on; what was taken stays taken."""
        taken = self.size - self.level(now)
        self.size = size
        self._level = size - taken
        self._at = now
