"""A token bucket: so much at once, and evenly filled again within a minute.

Law: never above its size. It may be overdrawn, when something took more than was expected; then it fills from below.
"""

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
        return min(float(self.size), self._level + (now - self._at) * self.size / MINUTE_S)

    def take(self, amount: float, now: float) -> None:
        """Take so much out, or put it back when it is below 0."""
        self._level = min(float(self.size), self.level(now) - amount)
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """How long until so much is in it. What is larger than the bucket has it when it is full."""
        return max(0.0, (min(amount, self.size) - self.level(now)) * MINUTE_S / self.size)

    def full_in_s(self, now: float) -> float:
        """How long until it is full."""
        return self.wait_s(self.size, now)

    def resize(self, size: int, now: float) -> None:
        """Hold another amount from now on; what was taken stays taken."""
        taken = self.size - self.level(now)
        self.size = size
        self._level = size - taken
        self._at = now
