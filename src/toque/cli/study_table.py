"""A study on the terminal: one line a policy, the fixed size and the plan above, the bound beneath.

Law: the table says the same as the JSON document it is made of; a policy that missed the objective is marked.
"""

from collections.abc import Mapping
from typing import Any

from toque.cli.layout import span
from toque.cli.terminal import Terminal
from toque.sim.timeline import Moment

WIDTH = 120
"""Of the table where no terminal says how wide it is."""
_ZERO = frozenset({"0", "0.00%"})


def show_study(content: Mapping[str, Any], terminal: Terminal) -> None:
    """Print a document of `sim/report/document.py` as a table, and say in a sentence what follows.

    Columns in which everything is zero are left out.
    """
    from rich.box import SIMPLE  # noqa: PLC0415  # 60 ms that only the table pays
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    rows = [_cells(figures) for figures in (content["fixed"], content["plan"], *content["policies"])]
    titles = [title for title in rows[0] if any(row[title] not in _ZERO for row in rows)]
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(title, justify="left" if title == "POLICY" else "right", no_wrap=True)
    for number, row in enumerate(rows):
        table.add_row(*(row[title] for title in titles), end_section=number == 1)
    width = None if terminal.out.isatty() else WIDTH
    is_lively = terminal.is_lively(terminal.out)
    Console(file=terminal.out, width=width, no_color=not is_lively, highlight=False).print(table)
    terminal.show(_conditions(content))
    terminal.show(_verdict(content))


def tell_moment(policy: str, moment: Moment, terminal: Terminal) -> None:
    """Explain the decisions around an instant, one a line; only those that changed anything were kept."""
    terminal.show(f"{policy}, around {moment.at:g} s:")
    for at, decision in moment.decisions:
        seen = decision.observation
        terminal.show(
            f"  {at:10.1f} s  {decision.before} -> {decision.after}  "
            f"{seen.in_flight} in flight, {seen.waiting} waiting, {seen.ready} ready, {seen.starting} starting; "
            f"wanted {decision.desired.replicas}: {decision.allowed.reason}"
        )
    if not moment.decisions:
        terminal.show("  no decision changed anything")


def _cells(figures: Mapping[str, Any]) -> dict[str, str]:
    wait, ttft = figures["queue_wait_s"], figures["ttft_s"]
    name = f"{figures['policy']} {figures['replicas']}" if "replicas" in figures else figures["policy"]
    return {
        "POLICY": name if figures["slo_met"] else f"{name} !",
        "REPLICA-H": f"{figures['replica_hours']:.2f}",
        **({"COST": f"{figures['cost']:.2f}"} if "cost" in figures else {}),
        "xPLAN": _ratio(figures["plan_ratio"]),
        "xBOUND": _ratio(figures["bound_ratio"]),
        "SLO": f"{figures['slo_attainment']:.2%}",
        "WAIT p50/95/99": "/".join(_brief(wait[place]) for place in ("p50", "p95", "p99")),
        "TTFT p95": span(ttft["p95"]),
        "REJECTED": f"{figures['rejected']:.2%}",
        "COLD": str(figures["cold_starts_met"]),
        "UP/DOWN": f"{figures['starts']}/{figures['stops']}",
        "BUSY": f"{figures['utilization']:.0%}",
    }


def _brief(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _conditions(content: Mapping[str, Any]) -> str:
    sizes, bound = content["sizes"], content["bound"]["replica_hours"]
    return (
        f"{content['trace']}: {content['requests']} requests; objective {content['slo']}; cold start "
        f"{content['cold_start_s']:g} s; {content['slots']} slots a replica, from {content['slots_from']}; "
        f"replicas: {sizes['initial']} at first, {sizes['minimum']} to {sizes['maximum']} "
        f"allowed; no policy can pay less than {bound:.2f} replica-hours"
    )


def _verdict(content: Mapping[str, Any]) -> str:
    fixed = content["fixed"]
    held = [figures for figures in content["policies"] if figures["slo_met"]]
    if not (held or fixed["slo_met"]):
        return "! nothing here meets the objective, whatever the number of replicas"
    best = min(held, key=lambda figures: figures["replica_hours"], default=None)
    told = "" if len(held) == len(content["policies"]) else "! misses the objective. "
    if best is None or (fixed["slo_met"] and fixed["replica_hours"] <= best["replica_hours"]):
        return f"{told}Do not autoscale: no policy that meets it is cheaper than N = {fixed['replicas']} all the time."
    saved = 1 - best["replica_hours"] / fixed["replica_hours"]
    return f"{told}Cheapest that meets it: {best['policy']}, {saved:.0%} below the best fixed size."
