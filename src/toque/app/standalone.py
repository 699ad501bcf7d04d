"""A controller without Kubernetes: the models of a settings file, the driver it names, and gateways that share the slots.

Law: there is one, and nobody elects it. Replicas that are its own children end with it; others, and the gateways, go on.
"""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack

import uvloop

from toque.alliance.census import LocalCensus
from toque.app.addresses import take_inner, url_of
from toque.app.admin_door import no_reload, open_admin
from toque.app.fleet import open_fleet
from toque.app.hosting import lending, open_hosting
from toque.app.lineup import Announce
from toque.app.scraped import expose, open_scraped
from toque.app.signals import Signals
from toque.app.state import state_dir
from toque.gateway.admin import AdminSources
from toque.model.announcement import StandsReady
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.records.explain import Explainer
from toque.records.exposition import ToqueCollector
from toque.records.metrics import Metrics

CENSUS_NAME = "gateways.json"


def control_alone(spec: ServiceSpec, announce: Announce) -> int:
    """Scale the models of these settings for gateways, until a signal; returns the exit status.

    Raises `ConfigError` for settings that cannot be used here.
    """
    if not spec.cluster.token:
        raise ConfigError(
            "Gateways prove themselves by a token, and there is none.",
            fix='Write token = "env:NAME" or token = "file:PATH" under [cluster].',
        )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_control(lending(spec), announce))


async def _control(spec: ServiceSpec, announce: Announce) -> int:
    signals = Signals()
    async with AsyncExitStack() as stack:
        admin, metrics = stack.enter_context(take_inner(spec))
        fleet = await stack.enter_async_context(open_fleet(spec, announce))
        controller, name = fleet.controller, spec.cluster.name or socket.gethostname()
        census = LocalCensus(state_dir(spec.records.state_dir, os.environ) / CENSUS_NAME)
        await stack.enter_async_context(open_hosting(fleet, spec.cluster, census, name))
        collector = ToqueCollector(Metrics(), controller.view)
        sources = AdminSources(
            view=controller.view,
            status=controller.status,
            why=Explainer(fleet.ring.steps, lambda: set(fleet.models), lambda _: None).why,
            metrics=lambda: expose(collector),
            reload=no_reload,
        )
        port = await stack.enter_async_context(open_admin(admin, spec, sources))
        await stack.enter_async_context(open_scraped(metrics, collector, lambda: True))
        announce(StandsReady(name, url_of(spec.admin_listen, port) if port else ""))
        told = await signals.first()
        return 0 if told == signal.SIGTERM else 128 + told
