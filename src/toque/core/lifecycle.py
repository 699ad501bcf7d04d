"""The life of a replica as a table: which step leads from which state to which.

Law: a replica changes its state through `follow` and nowhere else; a step the table does not know is a bug of ours.
"""

from enum import StrEnum

from toque.model.view import ReplicaState as State


class Step(StrEnum):
    """What happens to a replica. The last way out of every state, being gone, is its removal from the roster."""

    SPAWNED = "spawned"
    LOADED = "loaded"
    READY = "ready"
    DOUBTED = "doubted"
    CLEARED = "cleared"
    DRAINED = "drained"
    RECALLED = "recalled"
    STOPPED = "stopped"


TABLE: dict[tuple[State, Step], State] = {
    (State.STARTING, Step.SPAWNED): State.LOADING,
    (State.STARTING, Step.READY): State.READY,
    (State.STARTING, Step.STOPPED): State.STOPPING,
    (State.LOADING, Step.LOADED): State.WARMING,
    (State.LOADING, Step.READY): State.READY,
    (State.LOADING, Step.STOPPED): State.STOPPING,
    (State.WARMING, Step.READY): State.READY,
    (State.WARMING, Step.STOPPED): State.STOPPING,
    (State.READY, Step.DOUBTED): State.DOUBTED,
    (State.READY, Step.DRAINED): State.DRAINING,
    (State.DOUBTED, Step.CLEARED): State.READY,
    (State.DOUBTED, Step.DRAINED): State.DRAINING,
    (State.DRAINING, Step.RECALLED): State.READY,
    (State.DRAINING, Step.STOPPED): State.STOPPING,
}

COMING = frozenset({State.STARTING, State.LOADING, State.WARMING})
"""Ordered, not yet ready: counted before more are ordered, and never stopped by scaling down."""

LIVE = COMING | {State.READY, State.DOUBTED}
"""What a pool's target counts: all but those on their way out."""


def follow(state: State, step: Step) -> State | None:
    """Return the state that `step` leads to, or None where the table has no such step."""
    return TABLE.get((state, step))
