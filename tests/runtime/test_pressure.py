"""The watch over the process: what it measures reaches the core, and the journal stays flat."""

import asyncio

from tests.runtime.scripted import RememberingWaiter, ScriptedDriver, fleet_of, model_of
from toque.model.messages import EnterStage, PressureMeasured
from toque.model.overload import Stage
from toque.model.spec import PoolSpec
from toque.model.ticket import RefusalReason, Ticket
from toque.records.journal import JournalRing
from toque.runtime.controller import Controller
from toque.runtime.pressure import PressureWatch


class ScriptedSensor:
    """See `ports.PressureSensor`."""

    def __init__(self, told: asyncio.Event) -> None:
        self.memory_ratio = 0.5
        self.measured = 0
        self._told = told

    def measure(self) -> tuple[float, float]:
        self.measured += 1
        self._told.set()
        return self.memory_ratio, 0.1


async def test_o10_what_is_measured_changes_the_stage_and_only_that_is_journalled() -> None:
    measured = asyncio.Event()
    ring, sensor, driver = JournalRing(1000), ScriptedSensor(measured), ScriptedDriver()
    controller = Controller(fleet_of(PoolSpec("chat")), ring)
    driver.report = controller.report
    controller.open({"chat": (driver, model_of(PoolSpec("chat")))})
    stages: list[Stage] = []
    changed = asyncio.Event()

    def staged(told: EnterStage) -> None:
        stages.append(told.stage)
        changed.set()

    controller.obey(staged)
    watch = PressureWatch(sensor, controller.feel)
    watch.open()
    async with asyncio.timeout(10):
        while sensor.measured < 3:
            await asyncio.wait_for(measured.wait(), 5)
            measured.clear()
    assert not any(isinstance(event, PressureMeasured) and event.loop_lag_s < 0.2 for _, event, _ in ring.steps())
    sensor.memory_ratio = 0.98
    async with asyncio.timeout(10):
        while Stage.STOP_ACCEPTING not in stages:
            changed.clear()
            await changed.wait()
    assert any(isinstance(effect, EnterStage) for _, _, effects in ring.steps() for effect in effects)
    assert controller.view().pressure == "memory at 98%"
    waiter = RememberingWaiter()
    controller.submit(Ticket(controller.next_ticket_id(), "chat", controller.now() + 60.0), waiter)
    assert waiter.refusal is RefusalReason.OVERLOADED
    await watch.close()
    await controller.close()
