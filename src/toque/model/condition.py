"""Words for the condition of a replica: why it is gone, and whether it may be sent requests."""

from enum import StrEnum


class FailureCause(StrEnum):
    """Why a replica is gone."""

    EXITED = "exited"
    START_TIMEOUT = "start_timeout"
    UNHEALTHY = "unhealthy"
    INVALID_MODEL = "invalid_model"
    OUT_OF_MEMORY = "out_of_memory"


class BreakerState(StrEnum):
    """Whether a replica may be sent requests; `core/breaker.py` says what leads from where to where."""

    CLOSED = "closed"
    PAUSED = "paused"
    OPEN = "open"
    EJECTED = "ejected"
    HALF_OPEN = "half_open"
