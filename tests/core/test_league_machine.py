"""Any order of words between a controller and its gateways, however late or lost: no replica is ever overfilled, nothing is lost."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.core.league import League
from toque.model.batch_spec import BatchSpec
from toque.model.condition import FailureCause
from toque.model.messages import Failed, Finished, ReplicaFailed, SpecChanged
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, RestartSpec
from toque.model.ticket import FailureKind

NAMES = ("a", "b", "c")


def pools() -> st.SearchStrategy[PoolSpec]:
    return st.builds(
        PoolSpec,
        name=st.just("chat"),
        slots=st.integers(1, 4),
        replicas=st.builds(
            ReplicaBounds,
            minimum_warm=st.integers(0, 2),
            maximum=st.integers(2, 3),
            idle_to_zero_s=st.sampled_from([0.0, 5.0]),
            scale_down_delay_s=st.just(0.0),
            drain_s_max=st.just(1000.0),
        ),
        restart=st.builds(RestartSpec, crash_loop_failures=st.just(50)),
        queue=st.builds(QueueSpec, length_max=st.integers(1, 6), wait_s_max=st.just(500.0)),
        batch=st.builds(BatchSpec, preempt_patience_s=st.sampled_from([0.0, 5.0]), preemptions_max=st.integers(0, 2)),
    )


class LeagueMachine(RuleBasedStateMachine):
    """`League` checks after every step that no slot is in two places."""

    @initialize(pool=pools())
    def open(self, pool: PoolSpec) -> None:
        self.league = League(pool, "a", "b")

    def some(self, number: int) -> str:
        names = sorted(self.league.sides)
        return names[number % len(names)]

    @rule(number=st.integers(0, 2), count=st.integers(1, 6), batch=st.booleans())
    def requests_come(self, number: int, count: int, batch: bool) -> None:
        for _ in range(count):
            self.league.arrive(self.some(number), batch=batch)

    @rule(number=st.integers(0, 2), which=st.integers(0, 9), fails=st.booleans())
    def a_request_ends(self, number: int, which: int, fails: bool) -> None:
        name = self.some(number)
        flights = self.league.sides[name].in_flight
        if flights:
            ticket_id = sorted(flights)[which % len(flights)]
            del flights[ticket_id]
            event = Failed(ticket_id, FailureKind.ERROR, began=True) if fails else Finished(ticket_id)
            self.league.hear(name, event)

    @rule(number=st.integers(0, 2), up=st.booleans(), count=st.integers(1, 4))
    def words_arrive(self, number: int, up: bool, count: int) -> None:
        for _ in range(count):
            self.league.deliver(self.some(number), up=up)

    @rule(number=st.integers(0, 2))
    def a_gateway_reports(self, number: int) -> None:
        self.league.report(self.some(number))

    @rule(number=st.integers(0, 2))
    def a_connection_is_lost_or_back(self, number: int) -> None:
        name = self.some(number)
        if self.league.sides[name].is_here:
            self.league.cut(name)
        else:
            self.league.join(name)

    @precondition(lambda self: len(self.league.sides) > 1)
    @rule(number=st.integers(0, 2))
    def a_gateway_dies(self, number: int) -> None:
        self.league.kill(self.some(number))

    @precondition(lambda self: len(self.league.sides) < len(NAMES))
    @rule()
    def a_gateway_comes(self) -> None:
        self.league.join(next(name for name in NAMES if name not in self.league.sides))

    @rule(number=st.integers(0, 5))
    def a_replica_dies(self, number: int) -> None:
        replicas = sorted(self.league.controller.owned())
        if replicas:
            replica_id = replicas[number % len(replicas)]
            for side in self.league.sides.values():  # its requests die with it
                for ticket_id in [t for t, r in side.in_flight.items() if r == replica_id]:
                    del side.in_flight[ticket_id]
            self.league.tell(ReplicaFailed(replica_id, FailureCause.EXITED, "it died"))

    @rule(minimum=st.integers(0, 2))
    def somebody_wants_another_number(self, minimum: int) -> None:
        spec = self.league.controller.spec
        pool = spec.pools[0]
        bounds = ReplicaBounds(minimum, 3, scale_down_delay_s=0.0, drain_s_max=1000.0)
        changed = PoolSpec("chat", pool.slots, pool.queue, pool.batch, bounds, restart=pool.restart)
        self.league.tell(SpecChanged(FleetSpec((changed,), spec.capacity, lends=True)))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 20.0]))
    def time_passes_and_everything_arrives(self, seconds: float) -> None:
        self.league.flow(seconds)

    def teardown(self) -> None:
        """Once all is told and every request has ended, all slots are lent, to gateways that are there."""
        league = self.league
        for name, side in league.sides.items():
            if not side.is_here:
                league.join(name)
        for _ in range(200):
            league.flow(0.5)
            slots = league.controller.pools["chat"].supply.roster.slots
            if sum(league.share()) == slots and not any(side.in_flight for side in league.sides.values()):
                break
            for name, side in league.sides.items():
                for ticket_id in list(side.in_flight):
                    league.hear(name, Finished(ticket_id))
                    side.in_flight.pop(ticket_id, None)
        roster = league.controller.pools["chat"].supply.roster
        accounts = {name: account.held for name, account in league.controller.lending.lenders["chat"].accounts.items()}
        held = {name: dict(side.held()) for name, side in league.sides.items()}
        assert accounts == held
        assert sum(league.share()) == roster.slots, f"slots are lost: {held}, {roster.replicas.keys()}"


LeagueMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
TestLeagueMachine = LeagueMachine.TestCase
