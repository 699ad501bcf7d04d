"""The status of a ModelPool: what became of it, from the view of its pool.

Law: pure. What differs only in words or in measurements is the same status: it is written when a number or a condition changes, so
that a pool in calm costs no call.
"""

from collections.abc import Mapping
from typing import TypeAlias

from toque.kube.words import pool_labels
from toque.model.view import COUNTED, LEAVING, PoolView, ReplicaState
from toque.operator.roll import Entry, Manifest

Condition: TypeAlias = dict[str, object]
TOLD_MAX = 1000
"""Characters of a message or reason at most; Kubernetes takes 32 KiB, people less."""
_TROUBLES: Mapping[str, str] = {
    "crash_loop": "CrashLoop",
    "no_capacity": "NoCapacity",
    "unhealthy": "Unhealthy",
    "restarting": "Restarting",
}
"""Condition of a pool -> why it is degraded, in one word."""
AS_BEFORE, LEAST = "as many as before", "the least that is kept warm"
"""Reasons until a decision has one: that one is told, though no number changes."""
INVALID, REFUSED = "InvalidSpec", "LastGoodSpec"
"""Nothing of what it says could ever be served; it goes by what was good last."""


def status_of(entry: Entry, pool: PoolView | None, fleet: str, moment: str) -> Manifest:
    """Return what to tell; `moment` is now, as Kubernetes writes it. `pool` is None while there is none of it."""
    told: dict[str, object] = {
        "observedGeneration": entry.generation,
        "selector": ",".join(f"{label}={value}" for label, value in sorted(pool_labels(fleet, entry.name).items())),
        "replicas": 0,
        "ready": 0,
        "desired": 0,
        "reason": "",
    }
    if pool is not None:
        cold = pool.cold_start
        told |= {
            "replicas": sum(replica.state in COUNTED for replica in pool.replicas),
            "ready": _ready(pool),
            "desired": pool.wanted,
            "reason": _short(_why_so_many(pool)),
            "coldStart": {
                "spawnS": round(cold.spawn_s, 3),
                "loadS": round(cold.load_s, 3),
                "warmUpS": round(cold.warm_up_s, 3),
                "totalS": round(cold.total_s, 3),
            },
        }
    conditions = (_is_ready(pool), _is_progressing(pool), _is_degraded(entry, pool))
    told["conditions"] = [_since(condition, entry, moment) for condition in conditions]
    return told


def is_same(before: Manifest, after: Manifest) -> bool:
    """Whether both tell the same numbers and conditions, whatever their words and measurements."""
    return _essence(before) == _essence(after)


def _essence(status: Manifest) -> object:
    conditions = {
        condition["type"]: (condition["status"], condition["reason"], condition.get("observedGeneration"))
        for condition in status.get("conditions") or []
    }
    complaint = next(
        (each["message"] for each in status.get("conditions") or [] if each["reason"] in (INVALID, REFUSED)), ""
    )
    numbers = [status.get(name) for name in ("observedGeneration", "replicas", "ready", "desired", "selector")]
    return numbers, conditions, complaint, status.get("reason") in (AS_BEFORE, LEAST)


def _ready(pool: PoolView) -> int:
    return sum(replica.state is ReplicaState.READY for replica in pool.replicas)


def _why_so_many(pool: PoolView) -> str:
    """Say what its number is for: 1. it goes; 2. the decision that set it; 3. what came since, or before the first one."""
    if pool.condition == LEAVING:  # 1
        return "it is being deleted"
    decision = pool.decision
    if decision is None or decision.allowed.replicas != pool.wanted:  # 3
        return AS_BEFORE if pool.wanted > pool.minimum_warm else LEAST
    wanted, allowed = decision.desired, decision.allowed
    if wanted.replicas == allowed.replicas:
        return wanted.reason
    return f"{allowed.reason} (its policy says {wanted.replicas}: {wanted.reason})"


# ---- conditions ------------------------------------------------------------------------------------------------------


def _is_ready(pool: PoolView | None) -> Condition:
    if pool is None:
        return _condition("Ready", "NotServed", "It is not served.", holds=False)
    ready = _ready(pool)
    told = f"{ready} of {pool.wanted} replicas take requests."
    if not pool.wanted:
        return _condition("Ready", "ScaledToZero", "Nobody asks for it; a request starts it.", holds=True)
    is_enough = ready >= pool.wanted
    return _condition("Ready", "AllReady" if is_enough else "TooFew", told, holds=is_enough)


def _is_progressing(pool: PoolView | None) -> Condition:
    if pool is None:
        return _condition("Progressing", "NotServed", "It is not served.", holds=False)
    if pool.condition == LEAVING:
        return _condition("Progressing", "Leaving", "What is in flight finishes, then it is gone.", holds=True)
    others = [replica for replica in pool.replicas if replica.state is not ReplicaState.READY]
    if others:
        coming = sum(replica.state in COUNTED for replica in others)
        told = f"{coming} replicas are coming, {len(others) - coming} are going."
        return _condition("Progressing", "ReplicasChange", told, holds=True)
    return _condition("Progressing", "Settled", "Nothing is coming or going.", holds=False)


def _is_degraded(entry: Entry, pool: PoolView | None) -> Condition:
    """Say what keeps it: 1. what it says cannot be; 2. its replicas do not come up, or do not answer; 3. a start waits."""
    if entry.complaint:  # 1
        return _condition("Degraded", INVALID if entry.good is None else REFUSED, entry.complaint, holds=True)
    if pool is None:
        return _condition("Degraded", "NotServed", "It is about to be served.", holds=False)
    if pool.condition in _TROUBLES:  # 2
        return _condition("Degraded", _TROUBLES[pool.condition], pool.reason or pool.condition, holds=True)
    if pool.reason and pool.condition in ("loading", "ok"):  # 3
        return _condition("Degraded", "Delayed", pool.reason, holds=True)
    return _condition("Degraded", "AsItShould", "Nothing is wrong.", holds=False)


def _condition(kind: str, reason: str, message: str, *, holds: bool) -> Condition:
    return {"type": kind, "status": str(holds), "reason": reason, "message": _short(message)}


def _since(condition: Condition, entry: Entry, moment: str) -> Condition:
    """Complete a condition; one that held before keeps the time since when."""
    for before in entry.status.get("conditions") or []:
        if before["type"] == condition["type"] and before["status"] == condition["status"]:
            moment = before.get("lastTransitionTime") or moment
    return {**condition, "observedGeneration": entry.generation, "lastTransitionTime": moment}


def _short(text: str) -> str:
    return text if len(text) <= TOLD_MAX else f"{text[: TOLD_MAX - 3]}..."
