"""Snapshots: what people and metrics see of the fleet, as copies.

Law: taking one changes nothing and costs O(replicas).
"""

from toque.core.fleet import Fleet
from toque.core.pool import Pool
from toque.model.ticket import ServiceClass
from toque.model.view import LEAVING, FleetView, PoolView


def view_fleet(fleet: Fleet, now: float) -> FleetView:
    """Copy the whole fleet."""
    return FleetView(
        now=now,
        draining=fleet.is_draining,
        capacity=fleet.budget.capacity,
        free=fleet.budget.free,
        pools=tuple(
            view_pool(pool, is_draining=fleet.is_draining, is_leaving=name in fleet.leaving)
            for name, pool in fleet.pools.items()
        ),
    )


def view_pool(pool: Pool, *, is_draining: bool, is_leaving: bool) -> PoolView:
    """Copy one pool."""
    roster = pool.supply.roster
    condition, reason = (LEAVING, "") if is_leaving else _condition(pool, is_draining=is_draining)
    return PoolView(
        name=pool.spec.name,
        condition=condition,
        reason=reason,
        replicas=tuple(replica.view() for replica in roster.replicas.values()),
        in_flight=roster.in_flight,
        waiting_interactive=pool.line.length(ServiceClass.INTERACTIVE),
        waiting_batch=pool.line.length(ServiceClass.BATCH),
        slots=pool.spec.slots,
        minimum_warm=pool.spec.replicas.minimum_warm,
        maximum=pool.spec.replicas.maximum,
        cold_start=pool.forecast.cold_start,
        decision=pool.decision,
    )


def _condition(pool: Pool, *, is_draining: bool) -> tuple[str, str]:
    """Name a pool's condition and the reason.

    1. the service ends; 2. something answers, perhaps less than wanted; 3. crash loop; 4. no room; 5. loading;
    6. waiting for the back-off after a death; 7. cold.
    """
    roster, restart = pool.supply.roster, pool.supply.restart
    if is_draining:  # 1
        return "draining", ""
    if roster.ready:  # 2
        return "ok", pool.supply.shortage or restart.reason
    if restart.is_crash_loop:  # 3
        return "crash_loop", restart.reason
    if pool.supply.shortage:  # 4
        return "no_capacity", pool.supply.shortage
    if roster.coming:  # 5
        return "loading", restart.reason
    return ("restarting" if restart.reason else "cold"), restart.reason  # 6, 7
