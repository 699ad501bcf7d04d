"""A fingerprint of every step of a simulation: the same scenario gives the same, any other decision another."""

from hashlib import sha256

from msgspec.msgpack import Encoder

from toque.model.messages import Effect, Event
from toque.sim.engine import Request


class JournalHash:
    """Watches a simulation; `hexdigest` is the SHA-256 over (time, event, effects) of all steps so far."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._encode = Encoder().encode

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Take one step in."""
        told = [(type(effect).__name__, effect) for effect in effects]
        self._hash.update(self._encode((now, type(event).__name__, event, told)))

    def ended(self, request: Request, now: float) -> None:
        """Add nothing: that a request ended is in the steps."""

    def hexdigest(self) -> str:
        """Return the fingerprint in hexadecimal."""
        return self._hash.hexdigest()
