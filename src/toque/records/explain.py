"""Explanations for `toque why`: a request's whole life, or a pool's last decisions, out of the journal's ring.

Law: nothing is computed anew; it is the recorded steps that speak.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

import msgspec

from toque.model.cluster import ReplicaDelayed
from toque.model.decision import Decision
from toque.model.messages import (
    Abandoned,
    Arrived,
    Dispatch,
    Divert,
    Effect,
    EnterStage,
    Event,
    Failed,
    Finished,
    Hedge,
    Preempt,
    RecordBreaker,
    RecordDecision,
    Refuse,
    ReplicaFailed,
    StartReplica,
    StopReplica,
)
from toque.records.journal import Step

Explanation: TypeAlias = Mapping[str, object]
DECISIONS_SHOWN = 20


class Explainer:
    """Reads the ring. `find_ticket` turns a request id into its ticket's number (the access log remembers them)."""

    def __init__(
        self, steps: Callable[[], list[Step]], pools: Callable[[], set[str]], find_ticket: Callable[[str], int | None]
    ) -> None:
        self._steps = steps
        self._pools = pools
        self._find_ticket = find_ticket

    def why(self, subject: str) -> Explanation | None:
        """Explain a request id, a ticket's number or a pool's name; None when nothing is remembered of it."""
        if subject in self._pools():
            return explain_pool(subject, self._steps())
        ticket_id = self._find_ticket(subject)
        if ticket_id is None and subject.isdecimal() and subject.isascii():
            ticket_id = int(subject)
        return None if ticket_id is None else explain_request(subject, ticket_id, self._steps())


def explain_request(request_id: str, ticket_id: int, steps: list[Step]) -> Explanation | None:
    """Tell a request's life: each step with its time since arrival in seconds."""
    arrived_at: float | None = None
    pool = took = ""  # the one asked, and the one that has it now
    life: list[Mapping[str, object]] = []
    for now, event, effects in steps:
        if isinstance(event, Arrived) and event.ticket.id == ticket_id:
            arrived_at, pool = now, event.ticket.pool
            took = pool
        if arrived_at is None:
            continue
        told = [_tell_event(event, ticket_id)]
        for effect in effects:
            told.append(_tell_effect(effect, ticket_id, took))
            if isinstance(effect, Divert) and effect.ticket_id == ticket_id:
                took = effect.pool
        life += [{"at_s": round(now - arrived_at, 6), "what": text} for text in told if text]
    if arrived_at is None:
        return None
    return {"kind": "request", "request_id": request_id, "ticket": ticket_id, "pool": pool, "life": life}


def explain_pool(name: str, steps: list[Step]) -> Explanation:
    """Tell a pool's last scaling decisions with inputs and reason, what happened to its replicas, and stages of overload."""
    decisions: list[tuple[float, Decision]] = []
    replicas: list[Mapping[str, object]] = []
    mine: set[int] = set()
    for now, event, effects in steps:
        if isinstance(event, ReplicaFailed | ReplicaDelayed) and event.replica_id in mine:
            what = "failed" if isinstance(event, ReplicaFailed) else "waits"
            replicas.append({"at": now, "replica": event.replica_id, "what": f"{what}: {event.reason}"})
        for effect in effects:
            match effect:
                case RecordDecision(decision) if decision.pool == name:
                    decisions.append((now, decision))
                case StartReplica(pool, replica_id) if pool == name:
                    mine.add(replica_id)
                    replicas.append({"at": now, "replica": replica_id, "what": "ordered"})
                case RecordBreaker(pool, replica_id) if pool == name:
                    replicas.append({"at": now, "replica": replica_id, "what": _tell_breaker(effect)})
                case StopReplica(replica_id, reason) if replica_id in mine:
                    replicas.append({"at": now, "replica": replica_id, "what": f"stopped: {reason}"})
                case _:
                    pass
    return {
        "kind": "pool",
        "pool": name,
        "decisions": [{"at": now, **msgspec.to_builtins(decision)} for now, decision in decisions[-DECISIONS_SHOWN:]],
        "replicas": replicas[-DECISIONS_SHOWN:],
        "stages": _stages(steps)[-DECISIONS_SHOWN:],
    }


def _stages(steps: list[Step]) -> list[Mapping[str, object]]:
    """List every change of the stage of overload: it is about all pools."""
    return [
        {"at": now, "stage": effect.stage.value, "reason": effect.reason}
        for now, _, effects in steps
        for effect in effects
        if isinstance(effect, EnterStage)
    ]


def _tell_breaker(turn: RecordBreaker) -> str:
    """Say what became of a replica's breaker, and why."""
    rest = f" for {turn.for_s:.3g} s" if turn.for_s else ""
    return f"breaker {turn.state.value.replace('_', '-')}{rest}: {turn.reason}"


def _tell_event(event: Event, ticket_id: int) -> str:
    """Say what an event means to one request; empty when it is about another."""
    match event:
        case Arrived(ticket) if ticket.id == ticket_id:
            who = f" for {ticket.tenant}" if ticket.tenant else ""
            return f"arrived as {ticket.service_class.value}{who}"
        case Finished(ended, ttft_s, prompt_tokens, output_tokens) if ended == ticket_id:
            return (
                f"finished: first token {ttft_s:.3f} s after dispatch, {prompt_tokens} tokens in, {output_tokens} out"
            )
        case Failed(ended, kind, began) if ended == ticket_id:
            return f"the replica failed it ({kind.value}{', answer had begun' if began else ''})"
        case Abandoned(ended) if ended == ticket_id:
            return "the client left"
        case _:
            return ""


def _tell_effect(effect: Effect, ticket_id: int, pool: str) -> str:
    """Say what was done about one request, or started for its pool meanwhile; empty for what concerns others."""
    match effect:
        case Dispatch() | Hedge() | Preempt() if effect.ticket_id == ticket_id:
            return _tell_slot(effect)
        case Divert(ended, fallback, cause, reason) if ended == ticket_id:
            return f"goes on to {fallback} ({cause.value}: {reason})"
        case Refuse(ended, reason, retry_after_s, fallback) if ended == ticket_id:
            nobody = f"; no fallback took it: {fallback}" if fallback else ""
            return f"refused: {reason.value}, retry after {retry_after_s:.1f} s{nobody}"
        case StartReplica(name, replica_id) if name == pool:
            return f"replica {replica_id} was ordered"
        case _:
            return ""


def _tell_slot(effect: Dispatch | Hedge | Preempt) -> str:
    """Say which slot a request got, or lost."""
    match effect:
        case Dispatch(_, replica_id, cold_start_s):
            cold = f" after {cold_start_s:.2f} s of cold start" if cold_start_s else ""
            return f"dispatched to replica {replica_id}{cold}"
        case Hedge(_, replica_id):
            return f"sent to replica {replica_id} too, for the first is slow"
        case Preempt():
            return "put back to the front of its line: people need its slot"
        case _:
            assert_never(effect)
