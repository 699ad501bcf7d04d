"""Any order of events, however late, repeated or unknown, at any times: the laws of the fleet hold after every step."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.core.story import Story, arrival
from toque.core.invariants import check_rest
from toque.core.snapshot import view_fleet
from toque.model.batch_spec import BatchSpec
from toque.model.cluster import ScalingFrozen
from toque.model.condition import FailureCause
from toque.model.fallback_spec import CanarySpec, FallbackSpec, PriceSpec
from toque.model.messages import (
    Abandoned,
    Began,
    DrainOrdered,
    Effect,
    Event,
    Failed,
    Finished,
    PressureMeasured,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
    ReplicaUnreachable,
    SpecChanged,
    Woke,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, RestartSpec, RetrySpec, ScalingSpec
from toque.model.ticket import FailureKind
from toque.model.trust_spec import BreakerSpec, EjectionSpec, HedgeSpec

NAMES = ("chat", "code", "nobody")
CAPACITY = Resources(memory_bytes=10, cores=8.0)
JUMPS = st.sampled_from([0.0, 0.01, 0.5, 1.0, 2.0, 7.0, 31.0, 130.0, 1000.0])


@st.composite
def bounds(draw: st.DrawFn) -> ReplicaBounds:
    maximum = draw(st.integers(1, 4))
    return ReplicaBounds(
        minimum_warm=draw(st.integers(0, min(2, maximum))),
        maximum=maximum,
        idle_to_zero_s=draw(st.sampled_from([0.0, 5.0, 100.0])),
        scale_down_delay_s=draw(st.sampled_from([0.0, 10.0])),
        step_up_max=draw(st.integers(1, 2)),
        step_down_max=draw(st.integers(1, 2)),
        drain_s_max=draw(st.sampled_from([0.0, 5.0, 30.0])),
    )


def pool(name: str) -> st.SearchStrategy[PoolSpec]:
    return st.builds(
        PoolSpec,
        name=st.just(name),
        slots=st.integers(1, 3),
        queue=st.builds(
            QueueSpec,
            length_max=st.integers(0, 4),
            wait_s_max=st.sampled_from([1.0, 30.0]),
            ageing_s=st.sampled_from([0.0, 5.0]),
            batch_share_ratio=st.sampled_from([0.0, 0.05, 0.5]),
            low_priority_share_ratio=st.sampled_from([0.0, 0.5]),
            standing_s=st.sampled_from([0.0, 1.0, 10.0]),
            standing_wait_s=st.sampled_from([0.1, 4.0]),
            large_tokens_max=st.sampled_from([0, 0, 300]),
        ),
        batch=st.builds(
            BatchSpec,
            reserve_ratio=st.sampled_from([0.0, 0.3, 1.0]),
            headroom=st.integers(0, 2),
            replicas=st.integers(0, 2),
            preempt_patience_s=st.sampled_from([0.0, 0.5, 5.0]),
            preemptions_max=st.integers(0, 2),
        ),
        replicas=bounds(),
        scaling=st.builds(
            ScalingSpec,
            policy=st.sampled_from(["concurrency", "rate", "fixed"]),
            target=st.sampled_from([0.0, 1.0, 2.0]),
            stable_window_s=st.sampled_from([1.0, 20.0]),
        ),
        restart=st.builds(RestartSpec, crash_loop_failures=st.integers(2, 3)),
        retry=st.builds(
            RetrySpec,
            attempts_max=st.integers(0, 2),
            budget_min=st.integers(0, 3),
            backoff_s=st.sampled_from([0.0, 0.1, 5.0]),
        ),
        hedge=st.builds(HedgeSpec, enabled=st.booleans(), after_s=st.sampled_from([0.0, 0.5, 3.0])),
        canary=st.builds(
            CanarySpec,
            model=st.sampled_from(["", "code", "tiny"]),
            share=st.sampled_from([0.1, 1.0]),
            failures_max=st.integers(1, 3),
        ),
        breaker=st.builds(
            BreakerSpec,
            failures_in_a_row=st.integers(1, 3),
            answers_min=st.just(3),
            open_s_min=st.sampled_from([1.0, 10.0]),
        ),
        ejection=st.builds(
            EjectionSpec, slow_factor=st.sampled_from([0.0, 0.5, 3.0]), answers_min=st.just(1), share_max=st.just(1.0)
        ),
        footprint=st.builds(Resources, memory_bytes=st.integers(0, 6), cores=st.sampled_from([0.0, 1.0, 3.0])),
        elastic=st.sampled_from([True, True, True, False]),
        fallback=st.builds(
            FallbackSpec, patience_s=st.sampled_from([0.0, 0.5, 3.0]), batch_patience_s=st.sampled_from([0.0, 3.0])
        ),
        price=st.builds(PriceSpec, output=st.sampled_from([0.0, 1000.0])),
    )


class FleetMachine(RuleBasedStateMachine):
    """Events pour in; `Story` checks invariants and the ledger of tickets and replicas at every step."""

    @initialize(pools=st.tuples(pool("chat"), pool("code")) | st.tuples(pool("chat"), pool("code"), pool("tiny")))
    def open(self, pools: tuple[PoolSpec, ...]) -> None:
        self.story = Story(*pools, capacity=CAPACITY, spending=4.0)
        self.tickets = 0
        self.slack_s = 0.0

    def _happen(self, *events: Event) -> list[Effect]:
        """Events at this instant, wakes left undone: the timer may be late."""
        return [effect for event in events for effect in self.story.happen(event)]

    # ---- requests ----------------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        batch=st.booleans(),
        timeout_s=st.sampled_from([0.0, 3.0, 60.0, 1e9]),
        fallbacks=st.lists(st.sampled_from(NAMES), max_size=3),
    )
    def arrive(self, name: str, *, batch: bool, timeout_s: float, fallbacks: list[str]) -> None:
        self.tickets += 1
        deadline = self.story.now + timeout_s
        others, tokens = tuple(dict.fromkeys(fallbacks)), self.tickets % 2 * 100
        tenant, priority = ("", "alice", "bob")[self.tickets % 3], (3, 3, 0, 7)[self.tickets % 4]
        told = arrival(
            self.tickets,
            name,
            deadline,
            batch=batch,
            fallbacks=others,
            tokens=tokens,
            tenant=tenant,
            priority=priority,
            prompt=(10, 1000)[self.tickets // 2 % 2],
        )
        self._happen(told)

    @rule(name=st.sampled_from(NAMES), count=st.integers(2, 8))
    def burst(self, name: str, count: int) -> None:
        for _ in range(count):
            self.arrive(name, batch=False, timeout_s=60.0, fallbacks=[other for other in NAMES if other != name])

    def _ticket(self, choose: st.DataObject) -> int:
        """An open ticket, or any number at all."""
        anything = st.integers(0, self.tickets + 1)
        tickets = sorted(self.story.ledger.where)
        return choose.draw(st.sampled_from(tickets) | anything if tickets else anything)

    def _one_of_two(self, ticket: int, choose: st.DataObject) -> int:
        """The first or the second replica of a ticket, or 0 where nobody says."""
        ledger = self.story.ledger
        return choose.draw(st.sampled_from([0, ledger.where.get(ticket) or 0, ledger.second.get(ticket, 0)]))

    @rule(choose=st.data())
    def finish(self, choose: st.DataObject) -> None:
        ticket = self._ticket(choose)
        replica = self._one_of_two(ticket, choose)
        self._happen(Finished(ticket, ttft_s=0.1, output_tokens=9, replica_id=replica))

    @rule(
        choose=st.data(),
        kind=st.sampled_from(FailureKind),
        began=st.booleans(),
        retry_after_s=st.sampled_from([0.0, 2.0, 90.0]),
    )
    def fail(self, choose: st.DataObject, kind: FailureKind, retry_after_s: float, *, began: bool) -> None:
        ticket = self._ticket(choose)
        replica = 0 if began else self._one_of_two(ticket, choose)
        self._happen(Failed(ticket, kind, began, retry_after_s, replica))

    @rule(choose=st.data())
    def begin(self, choose: st.DataObject) -> None:
        ledger = self.story.ledger
        batch = sorted(ticket for ticket in ledger.batch if ledger.where.get(ticket))
        self._happen(*(Began(ticket) for ticket in batch if choose.draw(st.booleans())))

    @rule(name=st.sampled_from(NAMES), count=st.integers(2, 8))
    def backlog(self, name: str, count: int) -> None:
        for _ in range(count):
            self.arrive(name, batch=True, timeout_s=1e9, fallbacks=[])

    @rule(kind=st.sampled_from(FailureKind))
    def fail_all(self, kind: FailureKind) -> None:
        self._happen(*(Failed(ticket, kind) for ticket, replica in list(self.story.ledger.where.items()) if replica))

    @rule(choose=st.data())
    def abandon(self, choose: st.DataObject) -> None:
        self._happen(Abandoned(self._ticket(choose)))

    @rule()
    def finish_all(self) -> None:
        self._happen(*(Finished(ticket) for ticket, replica in list(self.story.ledger.where.items()) if replica))

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def _replica(self, choose: st.DataObject) -> int:
        anything = st.integers(0, len(self.story.ledger.gone) + 5)
        known = sorted(self.story.ledger.replicas)
        return choose.draw(st.sampled_from(known) | anything if known else anything)

    @rule(choose=st.data(), memory_bytes=st.integers(0, 8))
    def ready(self, choose: st.DataObject, memory_bytes: int) -> None:
        self._happen(ReplicaReady(self._replica(choose), Resources(memory_bytes)))

    @rule()
    def all_ready(self) -> None:
        self._happen(*(ReplicaReady(replica) for replica in list(self.story.ledger.replicas)))

    @rule()
    def all_stopped(self) -> None:
        stopping = [replica for replica, state in self.story.ledger.replicas.items() if state == "stopping"]
        self._happen(*(ReplicaStopped(replica) for replica in stopping))

    @rule(choose=st.data(), kind=st.sampled_from([ReplicaSpawned, ReplicaLoaded, ReplicaHealthy, ReplicaStopped]))
    def replica_word(self, choose: st.DataObject, kind: type[ReplicaSpawned]) -> None:
        self._happen(kind(self._replica(choose)))

    @rule(choose=st.data())
    def unreachable(self, choose: st.DataObject) -> None:
        self._happen(ReplicaUnreachable(self._replica(choose), "its address cannot be reached"))

    @rule(choose=st.data(), cause=st.sampled_from(FailureCause))
    def die(self, choose: st.DataObject, cause: FailureCause) -> None:
        self._happen(ReplicaFailed(self._replica(choose), cause, "it died"))

    # ---- time --------------------------------------------------------------------------------------------------------

    @rule(jump_s=JUMPS)
    def time_passes(self, jump_s: float) -> None:
        self.story.until(self.story.now + jump_s)

    @rule(jump_s=JUMPS)
    def the_timer_is_late(self, jump_s: float) -> None:
        self.story.now += jump_s
        self.story.until(self.story.now)

    @rule()
    def wake_early(self) -> None:
        self._happen(Woke())

    @rule(
        memory=st.sampled_from([0.5, 0.93, 0.955, 0.98]),
        lag_s=st.sampled_from([0.0, 1.0]),
        files=st.sampled_from([0.1, 0.95]),
    )
    def pressed(self, memory: float, lag_s: float, files: float) -> None:
        self._happen(PressureMeasured(memory, lag_s, files))

    @rule(reason=st.sampled_from(["", "the API server cannot be reached"]))
    def freeze(self, reason: str) -> None:
        self._happen(ScalingFrozen(reason))

    @precondition(lambda self: self.tickets > 10)
    @rule()
    def drain(self) -> None:
        self._happen(DrainOrdered())

    # ---- settings ----------------------------------------------------------------------------------------------------

    @rule(
        pools=st.lists(st.sampled_from(["chat", "code", "tiny"]).flatmap(pool), max_size=3, unique_by=lambda p: p.name),
        renewed=st.lists(st.sampled_from(NAMES), max_size=2),
        memory_bytes=st.integers(4, 20),
    )
    def reload(self, pools: list[PoolSpec], renewed: list[str], memory_bytes: int) -> None:
        capacity = Resources(memory_bytes=memory_bytes, cores=8.0)
        self._happen(SpecChanged(FleetSpec(tuple(pools), capacity), tuple(renewed)))

    @rule(name=st.sampled_from(NAMES))
    def renew(self, name: str) -> None:
        self._happen(SpecChanged(self.story.fleet.spec, (name,)))

    # ---- laws --------------------------------------------------------------------------------------------------------

    @invariant()
    def looking_changes_nothing(self) -> None:
        before = self.story.fleet.next_wake()
        view = view_fleet(self.story.fleet, self.story.now)
        assert view == view_fleet(self.story.fleet, self.story.now)
        assert before == self.story.fleet.next_wake()

    def teardown(self) -> None:
        """At rest nothing is left: requests end, time ends nothing more, and the whole story replays."""
        if not hasattr(self, "story"):
            return
        self._happen(ScalingFrozen(""))
        for _ in range(20):
            self.finish_all()
            self.all_ready()
            self.all_stopped()
            self._happen(*(ReplicaHealthy(replica) for replica in list(self.story.ledger.replicas)))
            self.story.until(self.story.now + 400.0)
        assert not self.story.ledger.where, "a ticket never ended"
        check_rest(self.story.fleet)
        assert self.story.fleet.next_wake() == float("inf"), "an idle fleet ticks"
        self.story.check_replay()


FleetMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)

TestFleet = FleetMachine.TestCase
