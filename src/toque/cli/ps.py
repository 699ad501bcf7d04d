"""`toque ps`: pools and replicas of the running service.

Law: it shows what the service says; nothing is worked out anew here.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from toque.cli.admin import add_admin, admin_service
from toque.cli.exits import Exit
from toque.cli.layout import columns, count, size, span
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal

_Json: TypeAlias = Mapping[str, Any]  # what json reads; its shape is model.view's
_TITLES = ("REPLICA", "STATE", "IN FLIGHT", "RUNS AS", "MEMORY", "AGE", "COLD START")
_STAGES = ("normal", "no keep-alive", "batch is refused", "all new requests are refused", "no connections are accepted")
_GOOD = frozenset({"ok"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_admin(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print every pool with its replicas."""
    service = admin_service(args.admin, terminal.environment)
    fleet = service.get("/admin/v1/pools")
    rows = cast(Sequence[_Json], service.get("/admin/v1/replicas")["replicas"])
    if args.json:
        terminal.show_json({"fleet": fleet, "replicas": rows})
        return Exit.DONE
    if fleet["leader"]:
        terminal.say(str(fleet["leader"]))
    for number, pool in enumerate(cast(Sequence[_Json], fleet["pools"])):
        if number:
            terminal.show()
        _show_pool(pool, [row for row in rows if row["pool"] == pool["name"]], terminal)
    if fleet["stage"]:
        terminal.show(
            terminal.paint(tell_stage(cast(int, fleet["stage"]), cast(str, fleet["pressure"])), "red", terminal.out)
        )
    terminal.say(_budget(fleet))
    return Exit.DONE


def _show_pool(pool: _Json, rows: Sequence[_Json], terminal: Terminal) -> None:
    condition = terminal.paint(pool["condition"], "green" if pool["condition"] in _GOOD else "yellow", terminal.out)
    reason = f" ({pool['reason']})" if pool["reason"] else ""
    terminal.show(f"{terminal.paint(pool['name'], 'bold', terminal.out)}  {condition}{reason}")
    ready = sum(row["replica"]["state"] == "ready" for row in rows)
    terminal.show(
        f"  {ready} of {count(len(rows), 'replica')} ready, {pool['minimum_warm']} to {pool['maximum']} allowed; "
        f"in flight {pool['in_flight']}{_beside(pool)}; "
        f"waiting {pool['waiting_interactive']} interactive, {pool['waiting_batch']} batch"
    )
    if pool["trial"]:
        terminal.show(f"  {pool['trial']}")
    if pool["decision"]:
        terminal.show(f"  last decision: {tell_decision(pool['decision'])}")
    if rows:
        for line in columns([_TITLES, *map(_cells, rows)], "  "):
            terminal.show(line)


def _beside(pool: _Json) -> str:
    """Say what of it is batch, and how often some was put back, where there was any."""
    told = f" ({pool['batch_in_flight']} batch)" if pool["batch_in_flight"] else ""
    return f"{told}, {count(pool['preempted'], 'preemption')} so far" if pool["preempted"] else told


def tell_decision(decision: _Json) -> str:
    """Say in one line what a scaler wanted, what it was allowed, and what came of it."""
    desired, allowed = decision["desired"], decision["allowed"]
    told = f"{decision['before']} -> {decision['after']}; wanted {desired['replicas']} ({desired['reason']})"
    if allowed["replicas"] != desired["replicas"]:
        told += f"; allowed {allowed['replicas']} ({allowed['reason']})"
    return f"{told}; {decision['shortage']}" if decision["shortage"] else told


def tell_stage(stage: int, reason: str) -> str:
    """Say a stage of overload in one line."""
    return f"overload stage {stage}, {_STAGES[stage]}: {reason}" if stage else "overload is over"


def _cells(row: _Json) -> tuple[str, ...]:
    replica, status = row["replica"], row["status"]
    return (
        str(replica["id"]),
        _state(row),
        f"{replica['in_flight']}/{replica['slots']}",
        status["name"] or str(status["pid"] or "-"),
        size(status["memory_bytes"] or replica["footprint"]["memory_bytes"]),
        span(row["age_s"]),
        _cold_start(row),
    )


def _cold_start(row: _Json) -> str:
    """Say how long a start took, and where it was when, as far as its driver sees steps."""
    replica = row["replica"]
    took = "-" if replica["ready_at"] is None else span(replica["ready_at"] - replica["started_at"])
    steps = ", ".join(f"{step} {span(at_s)}" for step, at_s in row["status"]["phases"])
    return f"{took} ({steps})" if steps else took


def _state(row: _Json) -> str:
    """Say where a replica stands, what its start waits for, and what its breaker says where that is not `closed`."""
    replica, status = row["replica"], row["status"]
    if status["delay"]:
        return f"{replica['state']}: {status['delay']}"
    if replica["state"] == "loading" and status["progress_ratio"]:
        return f"loading {status['progress_ratio']:.0%}"
    if replica["breaker"] == "closed":
        return cast(str, replica["state"])
    return f"{replica['state']}, {replica['breaker'].replace('_', '-')} ({replica['breaker_reason']})"


def _budget(fleet: _Json) -> str:
    free, capacity = fleet["free"], fleet["capacity"]
    told = (
        f"free: {size(free['memory_bytes'])} of {size(capacity['memory_bytes'])} memory, "
        f"{free['cores']:g} of {capacity['cores']:g} cores"
    )
    if fleet["spending_limit"]:
        told += f"; fallbacks cost {fleet['spent']:.2f} of {fleet['spending_limit']:g} this hour"
    return f"{told}; draining" if fleet["draining"] else told
