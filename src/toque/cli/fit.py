"""What `toque check` finds with the app's own eyes: do the models exist, and do their minimum replicas fit?

Law: the same code judges as in `toque up`: the agents' own checks, and the app's plan under the app's capacity.
"""

from collections.abc import Iterator, Mapping

from toque.app.lineup import kind_of
from toque.app.machine import measure_machine
from toque.app.plan import fill_capacity, plan_fleet, settle_threads
from toque.app.state import state_dir
from toque.cli.findings import Finding, Verdict, from_error
from toque.cli.layout import count, size
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.service_spec import ServiceSpec
from toque.model.spec import FleetSpec, PoolSpec
from toque.records.ledger import Ledger


def check_models(spec: ServiceSpec) -> Iterator[Finding]:
    """Ask each model's agent whether it could start."""
    for model in spec.models:
        subject = f"model {model.pool.name}"
        if model.runs_in_pod:
            yield Finding(Verdict.OK, subject, f"{model.agent.agent}, in Pods of {model.pod.image}")
            continue
        try:
            kind_of(model).check(model.agent)
        except ConfigError as error:
            where = error.where or spec.origins.get(f"models.{model.pool.name}.source", "")
            yield from_error(subject, ConfigError(error.message, where=where, fix=error.fix))
        else:
            yield Finding(
                Verdict.OK, subject, f"{model.agent.agent}, {model.agent.source or model.agent.url or 'no source'}"
            )


def check_capacity(spec: ServiceSpec, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether every pool's minimum fits, all together, and how many replicas the rest has room for."""
    try:
        fleet = _plan(spec, environment)
    except OSError as error:
        reason = f"{error.filename} cannot be made: {(error.strerror or str(error)).lower()}"
        yield Finding(Verdict.FAULT, "state directory", reason, "name another with records.state_dir")
        return
    need = Resources()
    for pool in fleet.pools:
        for _ in range(pool.replicas.minimum_warm if pool.elastic else 0):
            need = need.plus(pool.footprint)
    if shortage := need.shortage(fleet.capacity):
        fix = "lower minimum_warm, threads or context_tokens, or raise capacity"
        yield Finding(Verdict.FAULT, "capacity", f"the minimum of all pools {shortage}", fix)
        return
    yield Finding(
        Verdict.OK, "capacity", f"{size(need.memory_bytes)} of {size(fleet.capacity.memory_bytes)} at the minimum"
    )
    for pool in fleet.pools:
        yield from _reach(pool, fleet.capacity.minus(need))


def _reach(pool: PoolSpec, room: Resources) -> Iterator[Finding]:
    """Say how many replicas of a pool there can be at most, where that is fewer than the settings allow."""
    if not pool.elastic:
        return
    fitting = pool.replicas.minimum_warm
    while fitting < pool.replicas.maximum and not pool.footprint.shortage(room):
        room, fitting = room.minus(pool.footprint), fitting + 1
    if fitting < pool.replicas.maximum:
        text = (
            f"{count(fitting, 'replica')} of {pool.replicas.maximum} can run at once: {pool.footprint.shortage(room)}"
        )
        yield Finding(
            Verdict.NOTE, f"model {pool.name}", text, "raise capacity, or lower maximum, threads or context_tokens"
        )


def _plan(spec: ServiceSpec, environment: Mapping[str, str]) -> FleetSpec:
    capacity = fill_capacity(spec.capacity, measure_machine(), lambda _: None)
    models = settle_threads(spec.models, capacity.cores)
    home = state_dir(spec.records.state_dir, environment)
    return plan_fleet(models, capacity, Ledger(home / "ledger.json"))
