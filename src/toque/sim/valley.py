"""In the valleys: a job behind the traffic, beside the same traffic without it and a fleet of the job's own.

Law: the fleet of its own is the best there could be, always full of items and gone with the last one; so what is said to be saved
is saved at the least. Replicas that the shared fleet keeps only for the job are paid like all others.
"""

from dataclasses import dataclass
from typing import Any

from toque.sim.report.document import DIGITS, spread
from toque.sim.study import Question, Row


@dataclass(frozen=True, slots=True)
class Valley:
    """One policy: the traffic `alone`, and with the job (`beside`). `own_hours` are the replica-hours of a fleet for the job."""

    alone: Row
    beside: Row
    own_hours: float

    @property
    def took_s(self) -> float:
        """Seconds from the job's coming to its last answer."""
        backlog = self.beside.backlog
        return backlog.done_at - backlog.job.at

    @property
    def own_replicas(self) -> float:
        """How many replicas of its own would end the job in the same time."""
        return self.own_hours * 3600 / self.took_s if self.took_s else 0.0

    @property
    def saved_hours(self) -> float:
        """Replica-hours that two fleets would take more than the shared one."""
        return self.alone.replica_hours + self.own_hours - self.beside.replica_hours

    @property
    def idle_used(self) -> float:
        """Share of the slot time that people left over while the job lasted."""
        backlog = self.beside.backlog
        return backlog.held_s / backlog.idle_s if backlog.idle_s else 0.0

    @property
    def lost(self) -> float:
        """Share of the job's slot time that was for nothing, because an item was put back."""
        backlog = self.beside.backlog
        return backlog.lost_s / backlog.held_s if backlog.held_s else 0.0


def compare(question: Question, alone: Row, beside: Row) -> Valley:
    """Set a run with the question's job beside one without."""
    job = question.job
    return Valley(alone, beside, job.items * question.profile.least_work_s(job.item) / 3600)


def valley_figures(valley: Valley) -> dict[str, Any]:
    """Return the same for programs, as `report/document.py` does."""
    backlog = valley.beside.backlog
    return {
        "policy": valley.alone.policy,
        "alone": _figures(valley.alone),
        "beside": _figures(valley.beside),
        "job": {
            "items": backlog.job.items,
            "done": backlog.done,
            "at_s": backlog.job.at,
            "took_s": round(valley.took_s, DIGITS),
            "idle_used": round(valley.idle_used, DIGITS),
            "lost": round(valley.lost, DIGITS),
            "preemptions": backlog.preemptions,
        },
        "own_fleet": {"replica_hours": round(valley.own_hours, DIGITS), "replicas": round(valley.own_replicas, DIGITS)},
        "saved_replica_hours": round(valley.saved_hours, DIGITS),
    }


def _figures(row: Row) -> dict[str, Any]:
    measures = row.measures
    return {
        "replica_hours": round(row.replica_hours, DIGITS),
        "slo_attainment": round(measures.attainment, DIGITS),
        "slo_met": measures.holds,
        "queue_wait_s": spread(measures.queue_wait),
        "ttft_s": spread(measures.ttft),
        "in_slot_s_mean": round(measures.busy_s / max(1, measures.requests - measures.refused), DIGITS),
        "rejected": round(measures.rejected, DIGITS),
    }
