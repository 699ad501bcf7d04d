"""The controller: events become steps, effects reach waiters and drivers, one timer keeps the core's time."""

import asyncio

from tests.runtime.scripted import RememberingWaiter, ScriptedDriver, fleet_of, model_of
from toque.model.errors import DriverError
from toque.model.messages import Abandoned, Arrived, Failed, Finished, Woke
from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds
from toque.model.ticket import FailureKind, RefusalReason, Ticket
from toque.records.journal import JournalRing
from toque.runtime.controller import Controller


def opened(driver: ScriptedDriver, pool: PoolSpec, ring: JournalRing | None = None) -> Controller:
    controller = Controller(fleet_of(pool), ring or JournalRing(1000))
    driver.report = controller.report
    controller.open({pool.name: (driver, model_of(pool))})
    return controller


def ticket(controller: Controller, within_s: float = 60.0) -> Ticket:
    return Ticket(controller.next_ticket_id(), "chat", controller.now() + within_s)


async def told(waiter: RememberingWaiter) -> None:
    await asyncio.wait_for(waiter.told.wait(), 5)
    waiter.told.clear()


async def test_a_request_for_a_warm_pool_is_granted_before_submit_returns() -> None:
    driver, waiter = ScriptedDriver(), RememberingWaiter()
    controller = opened(driver, PoolSpec("chat"))
    first = RememberingWaiter()
    controller.submit(ticket(controller), first)
    await told(first)
    controller.post(Finished(1))
    controller.submit(ticket(controller), waiter)
    assert waiter.grants == [(driver.started[0], 0.0)]
    await controller.close()


async def test_a_cold_pool_starts_one_replica_and_tells_the_cold_start() -> None:
    driver, waiter = ScriptedDriver(start_s=0.02), RememberingWaiter()
    pool = PoolSpec("chat", replicas=ReplicaBounds(minimum_warm=0))
    controller = opened(driver, pool)
    assert driver.started == []
    controller.submit(ticket(controller), waiter)
    await told(waiter)
    assert len(driver.started) == 1
    assert waiter.grants[0][1] >= 0.02
    await controller.close()


async def test_a_full_slot_makes_the_next_wait_until_the_first_has_finished() -> None:
    driver, first, second = ScriptedDriver(), RememberingWaiter(), RememberingWaiter()
    controller = opened(driver, PoolSpec("chat", slots=1))
    controller.submit(ticket(controller), first)
    controller.submit(ticket(controller), second)
    await told(first)
    assert second.grants == []
    controller.post(Finished(1))
    assert len(second.grants) == 1
    await controller.close()


async def test_the_timer_refuses_a_ticket_at_its_deadline_without_any_other_event() -> None:
    driver, first, late = ScriptedDriver(), RememberingWaiter(), RememberingWaiter()
    controller = opened(driver, PoolSpec("chat", slots=1))
    controller.submit(ticket(controller), first)
    await told(first)
    controller.submit(ticket(controller, within_s=0.05), late)
    await told(late)
    assert late.refusal is RefusalReason.DEADLINE_EXCEEDED
    await controller.close()


async def test_a_lost_request_is_granted_again_after_the_replica_was_probed() -> None:
    driver, waiter = ScriptedDriver(), RememberingWaiter()
    controller = opened(driver, PoolSpec("chat"))
    controller.submit(ticket(controller), waiter)
    await told(waiter)
    controller.post(Failed(1, FailureKind.LOST))
    await told(waiter)
    assert driver.probed == driver.started
    assert len(waiter.grants) == 2
    await controller.close()


async def test_a_driver_that_cannot_even_begin_is_a_failed_replica_not_a_crash() -> None:
    driver, waiter = ScriptedDriver(error=DriverError("no such engine")), RememberingWaiter()
    controller = opened(driver, PoolSpec("chat"))
    controller.submit(ticket(controller), waiter)
    assert waiter.refusal is RefusalReason.NO_HEALTHY_REPLICA
    assert controller.view().pools[0].reason == "no such engine"
    await controller.close()


async def test_what_a_waiter_posts_from_inside_its_grant_is_the_next_step() -> None:
    ring = JournalRing(100)
    driver = ScriptedDriver()
    controller = opened(driver, PoolSpec("chat"), ring)

    class Hasty(RememberingWaiter):
        def granted(self, replica_id: int, cold_start_s: float) -> None:
            super().granted(replica_id, cold_start_s)
            controller.post(Abandoned(1))

    hasty = Hasty()
    controller.submit(ticket(controller), hasty)
    await told(hasty)
    kinds = [type(event) for _, event, _ in ring.steps()]
    assert kinds[-1] is Abandoned
    assert Woke in kinds
    assert Arrived in kinds
    assert controller.view().pools[0].in_flight == 0
    await controller.close()


async def test_a_full_line_refuses_at_once() -> None:
    driver = ScriptedDriver()
    controller = opened(driver, PoolSpec("chat", slots=1, queue=QueueSpec(length_max=0)))
    first, second = RememberingWaiter(), RememberingWaiter()
    controller.submit(ticket(controller), first)
    assert first.refusal is RefusalReason.QUEUE_FULL  # nothing is ready yet and nobody may wait
    await asyncio.wait_for(_until_ready(controller), 5)
    controller.submit(ticket(controller), second)
    assert second.grants
    await controller.close()


async def _until_ready(controller: Controller) -> None:
    while not any(replica.ready_at for replica in controller.view().pools[0].replicas):
        await asyncio.sleep(0)
