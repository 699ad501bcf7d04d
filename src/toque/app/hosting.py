"""What a controller opens for gateways: the host that lends them the slots of its fleet, and the door they come through.

Law: nothing is lent before the census has said who may hold slots, and all of these have told. What a fleet wished before it was
opened is not lost.
"""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

from toque.alliance.census import Census
from toque.alliance.host import Host
from toque.alliance.hosting import Hosting
from toque.alliance.words import Offer
from toque.app.addresses import take
from toque.app.fleet import OpenFleet
from toque.app.lineup import Lineup
from toque.config.secret import read_secret
from toque.model.cluster import ClusterEffect, ToGateways
from toque.model.cluster_spec import ClusterSpec
from toque.model.endpoint import Endpoint
from toque.model.service_spec import ServiceSpec
from toque.model.ticket import RefusalReason
from toque.model.view import FleetView

MARK_DIGITS = 16


def lending(spec: ServiceSpec) -> ServiceSpec:
    """Return the same settings for a fleet whose slots are lent, where there is a token by which gateways prove themselves."""
    return replace(spec, cluster=replace(spec.cluster, lends=bool(spec.cluster.token)))


@asynccontextmanager
async def open_hosting(
    fleet: OpenFleet, cluster: ClusterSpec, census: Census, name: str
) -> AsyncGenerator[Host | None]:
    """Take gateways in at `cluster.listen`, for as long as this is open; None where there is no token, so that nobody can come.

    Raises `ConfigError` for an address that is taken, or a token that cannot be read.
    """
    if not cluster.token:
        yield None
        return
    token = read_secret(cluster.token, os.environ)
    controller = fleet.controller

    def describe(pool: str, replica_id: int) -> Offer | None:
        endpoint = controller.endpoint(replica_id)
        return None if endpoint is None else _offer(pool, endpoint, controller.status(replica_id).name)

    def carry_out(effect: ClusterEffect) -> None:
        if isinstance(effect, ToGateways):
            host.carry_out(effect)

    def told(lineup: Lineup) -> None:
        host.serve(lineup.models.values())

    with take(cluster.listen, "cluster.listen") as address:
        host = Host(name, controller.post, describe, await census.expected())
        hosting = Hosting(host, census, token, cluster.gateways_max, lambda: _prospects(controller.view()))
        host.serve(fleet.models.values())
        fleet.follow(told)
        controller.ally(carry_out)
        host.open()
        try:
            await hosting.open(address)
            yield host
        finally:
            await hosting.close()


def _prospects(view: FleetView) -> Mapping[str, RefusalReason | None]:
    """Say which pools nobody should wait for."""
    return {
        pool.name: RefusalReason.NO_HEALTHY_REPLICA if pool.condition == "crash_loop" else None for pool in view.pools
    }


def _offer(pool: str, endpoint: Endpoint, name: str) -> Offer:
    """Describe a replica by a mark that every controller gives it: its name where it runs, else its address and key."""
    key = endpoint.key.reveal() if endpoint.key is not None else ""
    text = f"{endpoint.host} {endpoint.port} {endpoint.path_prefix} {key}"
    mark = name or f"{pool}-{sha256(text.encode()).hexdigest()[:MARK_DIGITS]}"
    return Offer(mark, pool, endpoint.host, endpoint.port, endpoint.path_prefix, endpoint.secure, key)
