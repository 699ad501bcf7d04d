"""The gate: whether newcomers are let in, before any pool is asked.

Law: one question a request while all is well (`is_guarded`). Whoever is in stays in.
"""

from toque.core.forecast import spread
from toque.core.ladder import Ladder
from toque.model.messages import DrainOrdered, Effect, EnterStage, PressureMeasured, Refuse
from toque.model.overload import OverloadSpec
from toque.model.ticket import RefusalReason, Ticket


class Gate:
    """Closed for good by a drain, and for some or all by the stages of overload."""

    __slots__ = ("_spec", "is_draining", "is_guarded", "ladder")

    def __init__(self, spec: OverloadSpec) -> None:
        self._spec = spec
        self.ladder = Ladder(spec)
        self.is_draining = False
        self.is_guarded = False

    def hear(self, event: DrainOrdered | PressureMeasured, now: float, out: list[Effect]) -> None:
        """Let nobody in any more, or take a sample of this process's pressure."""
        if isinstance(event, DrainOrdered):
            self.is_draining = self.is_guarded = True
        elif self.ladder.measure(event, now):
            self._enter_stage(out)

    def revise(self, spec: OverloadSpec, out: list[Effect]) -> None:
        """Go by other limits."""
        if spec != self._spec:
            self._spec = spec
            self.ladder.revise(spec)
            self._enter_stage(out)

    def refusal(self, ticket: Ticket) -> Refuse | None:
        """Refuse a newcomer while the service ends or protects itself; None: it may come in."""
        if self.is_draining:
            return Refuse(ticket.id, RefusalReason.DRAINING, spread(1.0, ticket.id))
        if self.ladder.sheds(ticket.service_class):
            return Refuse(ticket.id, RefusalReason.OVERLOADED, spread(self.ladder.retry_after_s(), ticket.id))
        return None

    def _enter_stage(self, out: list[Effect]) -> None:
        self.is_guarded = self.is_draining or bool(self.ladder.stage)
        out.append(EnterStage(self.ladder.stage, self.ladder.reason, self.ladder.keeps_alive))
