"""`toque simulate --backlog`: the flags of a job behind the traffic, and the table of what it does to people and costs.

Law: the table says the same as the figures of `sim/valley.py` that the JSON document has.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from toque.cli.layout import columns, span
from toque.cli.terminal import Terminal
from toque.model.errors import ConfigError
from toque.sim.backlog import Job

TOKENS = "500,100"
"""Lengths of an item where none are given: those of synthetic workloads."""


def add_backlog(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--backlog",
        metavar="ITEMS",
        type=int,
        default=0,
        help="run each policy a second time with a job of so many items of class batch behind the traffic",
    )
    parser.add_argument(
        "--backlog-tokens",
        metavar="PROMPT,OUTPUT",
        default=TOKENS,
        help=f"lengths of each item, in tokens (default: {TOKENS})",
    )
    parser.add_argument(
        "--backlog-at", metavar="S", type=float, default=0.0, help="when the job comes (default: 0, the beginning)"
    )


def read_job(args: argparse.Namespace) -> Job:
    """Return the job that the flags describe. Raises `ConfigError`."""
    prompt, _, output = args.backlog_tokens.partition(",")
    if not (prompt.isascii() and prompt.isdigit() and output.isascii() and output.isdigit() and int(output)):
        raise ConfigError(
            f"{args.backlog_tokens!r} are no lengths of an item",
            where="--backlog-tokens",
            fix=f"write tokens of prompt and answer, as in {TOKENS}",
        )
    if args.backlog < 0 or not 0 <= args.backlog_at < float("inf"):
        raise ConfigError(
            "a job has a number of items and an instant, both from 0 on", where="--backlog", fix="write --backlog 10000"
        )
    return Job(args.backlog, int(prompt), int(output), args.backlog_at)


def show_valleys(valleys: Sequence[Mapping[str, Any]], terminal: Terminal) -> None:
    """Print for each policy people without and with the job side by side, and in a sentence what came of the job."""
    rows: list[tuple[str, ...]] = [
        ("IN THE VALLEYS", "REPLICA-H", "SLO", "WAIT p50/95/99", "TTFT p50/95/99", "IN SLOT")
    ]
    for valley in valleys:
        rows.append((valley["policy"], *_cells(valley["alone"])))
        rows.append(("  with the job", *_cells(valley["beside"])))
    for line in columns(rows):
        terminal.show(line)
    for valley in valleys:
        terminal.show(f"{valley['policy']}: {_told(valley)}")


def _cells(figures: Mapping[str, Any]) -> tuple[str, ...]:
    attained = f"{figures['slo_attainment']:.2%}"
    return (
        f"{figures['replica_hours']:.2f}",
        attained if figures["slo_met"] else f"{attained} !",
        _places(figures["queue_wait_s"]),
        _places(figures["ttft_s"]),
        span(figures["in_slot_s_mean"]),
    )


def _places(durations_s: Mapping[str, float]) -> str:
    return "/".join(f"{durations_s[place]:.2f}" for place in ("p50", "p95", "p99"))


def _told(valley: Mapping[str, Any]) -> str:
    job, own, saved = valley["job"], valley["own_fleet"], valley["saved_replica_hours"]
    apart = valley["alone"]["replica_hours"] + own["replica_hours"]
    return (
        f"{job['done']} items in {span(job['took_s'])}, in {job['idle_used']:.1%} of the idle slot time; "
        f"{job['preemptions']} preemptions, {job['lost']:.1%} of its slot time done again. A fleet of its own would take "
        f"{own['replica_hours']:.2f} replica-hours ({own['replicas']:.2f} replicas, always full): {saved:.2f} saved, "
        f"{saved / apart:.0%} of both"
    )
