"""Snapshots: what people and metrics see of the fleet, as copies.

Law: taking one changes nothing and costs O(replicas).
"""

from toque.core.fleet import Fleet
from toque.core.pool import Pool
from toque.model.ticket import ServiceClass
from toque.model.view import LEAVING, FleetView, PoolView, ReplicaState


def view_fleet(fleet: Fleet, now: float) -> FleetView:
    """Copy the whole fleet."""
    return FleetView(
        now=now,
        draining=fleet.gate.is_draining,
        capacity=fleet.budget.capacity,
        free=fleet.budget.free,
        spent=fleet.spending.spent(now),
        spending_limit=fleet.spending.limit,
        stage=fleet.gate.ladder.stage,
        pressure=fleet.gate.ladder.reason,
        pools=tuple(
            view_pool(
                pool, fleet.trials.told(pool), is_draining=fleet.gate.is_draining, is_leaving=name in fleet.leaving
            )
            for name, pool in fleet.pools.items()
        ),
    )


def view_pool(pool: Pool, trial: str, *, is_draining: bool, is_leaving: bool) -> PoolView:
    """Copy one pool."""
    roster, elsewhere = pool.supply.roster, pool.scaler.elsewhere
    condition, reason = (LEAVING, "") if is_leaving else _condition(pool, is_draining=is_draining)
    return PoolView(
        name=pool.spec.name,
        condition=condition,
        reason=reason,
        replicas=tuple(replica.view() for replica in roster.replicas.values()),
        in_flight=roster.in_flight + elsewhere.in_flight + elsewhere.batch_in_flight,
        waiting_interactive=_waiting(pool, ServiceClass.INTERACTIVE) + elsewhere.waiting,
        waiting_batch=_waiting(pool, ServiceClass.BATCH) + elsewhere.batch - elsewhere.batch_in_flight,
        slots=pool.spec.slots,
        minimum_warm=pool.spec.replicas.minimum_warm,
        maximum=pool.spec.replicas.maximum,
        cold_start=pool.forecast.cold_start,
        decision=pool.decision,
        breaker_turns=dict(pool.trust.turns),
        hedged=pool.slots.hedged,
        batch_in_flight=len(pool.share.in_flight) + elsewhere.batch_in_flight,
        preempted=pool.share.preempted,
        target=pool.spec.replicas.target,
        trial=trial,
        wanted=pool.supply.target,
    )


def _waiting(pool: Pool, service_class: ServiceClass) -> int:
    return pool.line.length(service_class) + pool.line.held_back(service_class)


def _condition(pool: Pool, *, is_draining: bool) -> tuple[str, str]:
    """Name a pool's condition and the reason.

    1. the service ends; 2. no breaker lets anything through; 3. something answers, perhaps less than wanted; 4. crash loop;
    5. no room; 6. loading; 7. waiting for the back-off after a death; 8. cold.
    """
    roster, restart = pool.supply.roster, pool.supply.restart
    if is_draining:  # 1
        return "draining", ""
    barred = [replica for replica in roster.in_state(ReplicaState.READY) if replica.is_barred]
    if barred and len(barred) == roster.ready:  # 2
        return "unhealthy", barred[0].breaker.reason
    if roster.ready:  # 3
        return "ok", _frozen(pool) or pool.supply.shortage or restart.reason or pool.exits.standing.reason
    return _condition_of_none(pool)


def _condition_of_none(pool: Pool) -> tuple[str, str]:
    """The same where no replica is ready."""
    roster, restart = pool.supply.roster, pool.supply.restart
    if restart.is_crash_loop:  # 4
        return "crash_loop", restart.reason
    if pool.supply.shortage:  # 5
        return "no_capacity", pool.supply.shortage
    if roster.coming:  # 6
        return "loading", next((r.delay for r in roster.replicas.values() if r.delay), _frozen(pool) or restart.reason)
    return ("restarting" if restart.reason else "cold"), _frozen(pool) or restart.reason  # 7, 8


def _frozen(pool: Pool) -> str:
    """Say that nothing is started or ended, and why; empty where it is."""
    return f"scaling is frozen: {pool.supply.frozen}" if pool.supply.frozen else ""
