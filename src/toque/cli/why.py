"""`toque why`: a request's whole life, or what a pool's scaler saw, wanted and was allowed.

Law: it shows recorded steps with their times; a request's count from its arrival, a pool's from now backwards.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import quote

from toque.cli.admin import add_admin, admin_service
from toque.cli.exits import Exit
from toque.cli.layout import columns, span
from toque.cli.parser import add_json
from toque.cli.ps import tell_decision, tell_stage
from toque.cli.terminal import Terminal

_Json: TypeAlias = Mapping[str, Any]  # what json reads; its shape is records.explain's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("subject", metavar="REQUEST-OR-POOL", help="an x-request-id, or a pool that `toque ps` shows")
    add_admin(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print an explanation."""
    service = admin_service(args.admin, terminal.environment)
    told = service.get(f"/admin/v1/why/{quote(args.subject, safe='')}")
    if args.json:
        terminal.show_json(told)
    elif told["kind"] == "request":
        _show_request(told, terminal)
    else:
        _show_pool(told, service.get("/admin/v1/pools"), terminal)
    return Exit.DONE


def _show_request(told: _Json, terminal: Terminal) -> None:
    terminal.show(f"request {told['request_id']} to {told['pool']}")
    steps = [(f"+{step['at_s']:.3f} s", step["what"]) for step in told["life"]]
    for line in columns(steps, "  "):
        terminal.show(line)


def _show_pool(told: _Json, fleet: _Json, terminal: Terminal) -> None:
    """Show what one pool did; a gateway decides nothing of replicas, and says who does."""
    now = cast(float, fleet["now"])
    terminal.show(f"pool {told['pool']}")
    decisions: Sequence[_Json] = told["decisions"]
    if not decisions:
        terminal.show(f"  {fleet['leader'] or 'no scaling decision is remembered'}")
    for decision in decisions:
        terminal.show(f"  {span(now - decision['at'])} ago: {tell_decision(decision)}")
        terminal.show(f"    saw {_tell_seen(decision['observation'])}")
    if told["replicas"]:
        terminal.show("  replicas:")
    for event in told["replicas"]:
        terminal.show(f"    {span(now - event['at'])} ago: replica {event['replica']} {event['what']}")
    for change in told["stages"]:
        terminal.show(f"  {span(now - change['at'])} ago: {tell_stage(change['stage'], change['reason'])}")


def _tell_seen(seen: _Json) -> str:
    return (
        f"{seen['in_flight']} in flight, {seen['waiting']} waiting (the oldest {span(seen['waiting_s'])}), "
        f"{seen['ready']} ready, {seen['starting']} starting, {seen['draining']} draining; "
        f"demand {seen['demand_stable']:.2f} long, {seen['demand_burst']:.2f} short; "
        f"{seen['arrivals_per_s']:.2f} arrivals/s; cold start {span(seen['cold_start_s'])}"
    )
