"""The service: an open fleet behind a gateway and an admin listener, from the first announcement to the exit status.

Law: it returns when everything it started is gone. The first signal drains, the second stops at once (L01, L03).
"""

import asyncio
import gc
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import uvloop

from toque.app.addresses import take_addresses, taken, url_of
from toque.app.advice import open_advice
from toque.app.fleet import OpenFleet, open_fleet
from toque.app.jobs import open_jobs
from toque.app.joined import Alone, Joined
from toque.app.keys import open_accounts, ring_of
from toque.app.lineup import Announce
from toque.app.reload import Reloader
from toque.app.scraped import expose, open_scraped
from toque.app.sensor import ProcessSensor
from toque.app.signals import Signals
from toque.app.state import state_dir
from toque.gateway.accounts import Accounts
from toque.gateway.admin import AdminSources, admin_app
from toque.gateway.server import Gateway
from toque.model.announcement import Draining, Listening
from toque.model.errors import ConfigError
from toque.model.messages import DrainOrdered, PressureMeasured
from toque.model.service_spec import LimitSpec, ServiceSpec
from toque.model.view import FleetView
from toque.records.access import AccessLog
from toque.records.access_line import plain_line
from toque.records.explain import Explainer
from toque.records.exposition import ToqueCollector
from toque.records.metrics import Metrics
from toque.records.recorder import SALT_BYTES, Logs, TrafficLine
from toque.runtime.controller import Controller
from toque.runtime.pressure import PressureWatch
from toque.wire.asgi import AsgiHandler
from toque.wire.descriptors import raise_descriptor_limit
from toque.wire.server import Server
from toque.wire.server import serve as listen

GC_THRESHOLDS = (50_000, 20, 100)
"""Net new objects before a collection, and how many of those before an older generation is looked at.

Nothing of a request is left to the collector, so it only has to find what rare failures leave. With Python's own 700 it ran
for 11 % of the time at 256 connections, and looking through everything held requests up for 200 ms (docs/explanation/speed.md).
"""
HEAP_KEPT_BYTES = 16 * 2**20
"""Free memory at the end of the heap that stays ours: room for the copies of some large bodies."""


def serve(spec: ServiceSpec, announce: Announce, read_anew: Callable[[], ServiceSpec]) -> int:
    """Serve until a signal; returns the exit status: 0 after a drain, 128 + signal when told twice.

    `read_anew` reads the settings again for a reload; it may raise `ConfigError`, and blocks a thread of its own. Raises `ConfigError` for settings that cannot be used here, such as a port that is taken.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(spec, announce, read_anew))


async def _serve(spec: ServiceSpec, announce: Announce, read_anew: Callable[[], ServiceSpec]) -> int:
    raise_descriptor_limit()
    signals = Signals()
    async with AsyncExitStack() as stack:
        addresses = stack.enter_context(take_addresses(spec))
        joined = Joined(spec, announce) if spec.cluster.controllers else Alone()
        stack.push_async_callback(joined.close)
        found = await joined.find(spec, signals.first)
        if found is None:
            return 0
        spec = found
        fleet = await stack.enter_async_context(open_fleet(spec, announce, joined.adapt))
        metrics = Metrics()
        accounts = await stack.enter_async_context(open_accounts(fleet))
        gateway = await stack.enter_async_context(_open_gateway(spec, fleet, accounts, metrics, addresses.api))
        reloader = Reloader(joined.reader(read_anew), fleet, gateway, accounts, metrics, announce)
        stack.push_async_callback(reloader.close)
        joined.begin(fleet.controller, reloader)
        view = joined.watching(fleet.controller.view)
        collector = ToqueCollector(metrics, view)
        admin = await _open_admin(addresses.admin, reloader, fleet, gateway, (collector, view), stack)
        await stack.enter_async_context(open_scraped(addresses.metrics, collector, lambda: not gateway.is_draining))
        await stack.enter_async_context(open_advice(spec.advice, fleet.controller))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)
        fleet.controller.obey(gateway.take_stage)
        _watch_pressure(reloader, fleet.controller, metrics, stack)
        async with open_jobs(spec.jobs, state_dir(spec.records.state_dir, os.environ), gateway):
            settle_collector()
            settle_allocator()
            announce(
                Listening(url_of(spec.listen, gateway.port), url_of(spec.admin_listen, admin.port) if admin else "")
            )
            first = await signals.first()
        await reloader.close()
        return await _drain(reloader.spec, fleet, gateway, signals, first, announce)


def _watch_pressure(reloader: Reloader, controller: Controller, metrics: Metrics, stack: AsyncExitStack) -> None:
    sensor = ProcessSensor(lambda: reloader.spec.overload.memory_bytes_max)
    watch = PressureWatch(sensor, lambda seen: _feel(seen, controller, metrics))
    stack.push_async_callback(watch.close)
    watch.open()


def _feel(seen: PressureMeasured, controller: Controller, metrics: Metrics) -> None:
    metrics.pressure = seen
    controller.feel(seen)


async def _drain(
    spec: ServiceSpec, fleet: OpenFleet, gateway: Gateway, signals: Signals, first: int, announce: Announce
) -> int:
    """Let requests in flight finish; a second signal ends the waiting. Ctrl-C has no load balancer to inform."""
    announce(Draining(spec.drain_s_max))
    fleet.controller.post(DrainOrdered())
    lame_duck_s = spec.lame_duck_s if first == signal.SIGTERM else 0.0
    draining = asyncio.create_task(gateway.drain(lame_duck_s, spec.drain_s_max))
    second = asyncio.create_task(signals.second())
    await asyncio.wait((draining, second), return_when=asyncio.FIRST_COMPLETED)
    if not second.done():
        second.cancel()
        return 0
    await gateway.close()
    await draining
    return 128 + second.result()


def settle_collector() -> None:
    """Take what was made for good out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def settle_allocator() -> None:
    """Let the C library keep the memory of large bodies for the next ones.

    glibc gives back what is free at the end of its heap as soon as that is 128 KiB, and then each body of 64 kB is paged in
    anew. Once a block of its own has been freed, it takes that block's size for usual, and twice as much for worth keeping.
    """
    bytearray(HEAP_KEPT_BYTES // 2)


@asynccontextmanager
async def _open_gateway(
    spec: ServiceSpec, fleet: OpenFleet, accounts: Accounts, metrics: Metrics, address: socket.socket
) -> AsyncGenerator[Gateway, None]:
    async with AsyncExitStack() as stack:
        found = (_open_access_log(spec, stack), _open_recorder(spec.records.traffic, stack))
        logs = [log for log in found if log is not None]
        access = logs[0] if len(logs) == 1 else Logs(logs)
        gateway = Gateway(
            fleet.controller,
            fleet.dialects,
            ring_of(fleet.lineup, accounts),
            spec.limits,
            metrics=metrics,
            access=access,
        )
        stack.push_async_callback(gateway.close)
        try:
            await gateway.open(address)
        except OSError as error:
            raise taken(spec.listen, "listen", error) from error
        yield gateway


async def _open_admin(
    address: socket.socket | None,
    reloader: Reloader,
    fleet: OpenFleet,
    gateway: Gateway,
    seen: tuple[ToqueCollector, Callable[[], FleetView]],
    stack: AsyncExitStack,
) -> Server | None:
    if address is None:
        return None
    collector, view = seen
    explainer = Explainer(fleet.ring.steps, lambda: set(fleet.models), gateway.recent.find)
    sources = AdminSources(
        view=view,
        status=fleet.controller.status,
        why=explainer.why,
        metrics=lambda: expose(collector),
        reload=reloader.reload,
    )
    handler = AsgiHandler(admin_app(sources))
    try:
        server = await listen(address, handler, LimitSpec())
    except OSError as error:
        raise taken(reloader.spec.admin_listen, "admin_listen", error) from error
    stack.push_async_callback(handler.close)
    stack.push_async_callback(server.close)
    return server


def _open_access_log(spec: ServiceSpec, stack: AsyncExitStack) -> AccessLog | None:
    where = spec.records.access_log
    if not where:
        return None
    wall_clock = time.time  # noqa: TID251 - access lines tell the wall clock
    if where == "-" and sys.stderr.isatty():
        access = AccessLog(_Watched(), wall_clock, plain_line)
    else:
        access = AccessLog(
            sys.stderr.buffer if where == "-" else stack.enter_context(_append(where, "access_log")), wall_clock
        )
    access.open()
    stack.push_async_callback(access.close)
    return access


def _open_recorder(where: str, stack: AsyncExitStack) -> AccessLog | None:
    if not where:
        return None
    line = TrafficLine(secrets.token_bytes(SALT_BYTES))
    recorder = AccessLog(stack.enter_context(_append(where, "traffic")), time.time, line)  # noqa: TID251 - as access lines
    recorder.open()
    stack.push_async_callback(recorder.close)
    return recorder


class _Watched:
    """Standard error on a terminal, asked for at each write: while bars move, a stand-in keeps lines above them."""

    def write(self, lines: bytes) -> None:
        """Take whole lines."""
        sys.stderr.write(lines.decode())

    def flush(self) -> None:
        """Show them."""
        sys.stderr.flush()


def _append(where: str, setting: str) -> BinaryIO:
    try:
        return Path(where).open("ab", buffering=0)
    except OSError as error:
        raise ConfigError(f"cannot write {where}: {error.strerror}", fix=f"set records.{setting}") from error
