"""The controller of a cluster, as a process: it stands for election and, while it leads, has a fleet of what ModelPools say.

Law: only the leader decides. Whoever ceases to lead has stopped deciding before anything else happens; its replicas, and whoever
serves requests by them, go on.
"""

import asyncio
import os
import secrets
import signal
import socket
import time
from contextlib import AsyncExitStack

import uvloop

from toque.app.addresses import take_inner, url_of
from toque.app.admin_door import no_reload, open_admin
from toque.app.advice import open_advice
from toque.app.lineup import Announce
from toque.app.reign import Reign
from toque.app.scraped import expose, open_scraped
from toque.app.signals import Signals
from toque.gateway.admin import AdminSources
from toque.kube.connection import open_client
from toque.kube.leader import pin
from toque.kube.lease import LeaseRecord
from toque.model.announcement import StandsReady
from toque.model.service_spec import ServiceSpec
from toque.operator.badge import Badge
from toque.operator.candidate import Candidate
from toque.records.exposition import ControllerCollector

NAME_BYTES = 4
"""Of chance in a controller's name: a container that is started again in the same Pod is another candidate."""


def control(spec: ServiceSpec, announce: Announce) -> int:
    """Stand for election, and lead when elected, until a signal; returns the exit status.

    `spec` has no models. Raises `ConfigError` for settings that cannot be used here.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_control(spec, announce))


async def _control(spec: ServiceSpec, announce: Announce) -> int:
    signals = Signals()
    async with AsyncExitStack() as stack:
        admin, metrics = stack.enter_context(take_inner(spec))
        client = open_client(spec.kubernetes, os.environ)
        stack.push_async_callback(client.close)
        name = f"{socket.gethostname()}-{secrets.token_hex(NAME_BYTES)}"
        clock = time.time  # noqa: TID251 - the times of Leases, statuses and Events are for people
        reign = Reign(spec, clock, announce)
        pod = os.environ.get("HOSTNAME", "")  # a kubelet says so what the Pod is called
        badge = Badge(lambda is_leading: pin(client, pod, is_leading=is_leading))

        def turned(is_leading: bool) -> None:  # noqa: FBT001 - the shape that a candidate calls
            reign.turned(is_leading)
            badge.turn(is_leading=is_leading)

        candidate = Candidate(name, spec.cluster, LeaseRecord(client, clock), turned)
        reign.election = candidate.election
        stack.push_async_callback(badge.close)
        stack.push_async_callback(candidate.close)
        stack.push_async_callback(reign.close)
        collector = ControllerCollector(reign.view, lambda: reign.election.is_leading)
        sources = AdminSources(
            view=reign.view, status=reign.status, why=reign.why, metrics=lambda: expose(collector), reload=no_reload
        )
        port = await stack.enter_async_context(open_admin(admin, spec, sources))
        await stack.enter_async_context(open_scraped(metrics, collector, lambda: reign.is_well))
        await stack.enter_async_context(open_advice(spec.advice, reign))
        reign.open()
        badge.open()
        candidate.open()
        announce(StandsReady(name, url_of(spec.admin_listen, port) if port else ""))
        told = await signals.first()
        return 0 if told == signal.SIGTERM else 128 + told
