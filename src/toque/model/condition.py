"""Words for the condition of a replica: why it is gone, and whether it may be sent requests."""

from enum import StrEnum


class FailureCause(StrEnum):
    """Why a replica is gone. `REMOVED`: whoever owns the machine took it away (a drained machine, an eviction)."""

    EXITED = "exited"
    START_TIMEOUT = "start_timeout"
    UNHEALTHY = "unhealthy"
    INVALID_MODEL = "invalid_model"
    OUT_OF_MEMORY = "out_of_memory"
    IMAGE_MISSING = "image_missing"
    UNSCHEDULABLE = "unschedulable"
    QUOTA = "quota"
    REMOVED = "removed"


HOPELESS = frozenset({FailureCause.INVALID_MODEL, FailureCause.IMAGE_MISSING})
"""What the next start will meet again: one is tried per longest wait."""
NO_ROOM = frozenset({FailureCause.UNSCHEDULABLE, FailureCause.QUOTA})
"""There was no room for it where replicas run: nothing is wrong with the model."""


class BreakerState(StrEnum):
    """Whether a replica may be sent requests; `core/breaker.py` says what leads from where to where."""

    CLOSED = "closed"
    PAUSED = "paused"
    OPEN = "open"
    EJECTED = "ejected"
    HALF_OPEN = "half_open"
