"""Medians, spreads and ratios: as tables for people and as JSON for machines."""

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from statistics import median

from cases import Case
from contender import Contender
from measure import Measured

_COLUMNS = ("gateway", "a second", "spread", "CPU us", "core", "p50 us", "p99 us", "RSS MB", "toque/it", "CPU it/toque")
US = "toque"
BASE = "direct"


def render(found: Sequence[Measured], contenders: Sequence[Contender]) -> str:
    """One table a case, in Markdown, and one of the memory of idle gateways."""
    parts = [_NOTES]
    cases = list(dict.fromkeys(one.case for one in found))
    parts += [_case_table(case, [one for one in found if one.case == case]) for case in cases]
    idle = ", ".join(f"{one.name} {one.idle_rss_mb:.0f} MB" for one in contenders if one.idle_rss_mb)
    return "\n".join([*parts, f"Memory before any load: {idle}."])


_NOTES = """\
Medians of interleaved rounds. `CPU us`: user and system time of the gateway for each request or chunk; on a shared machine
this is the figure to trust. `core`: how much of its core it had. Latency of a stream is that of its first chunk; `added`
is above `direct`, which is no gateway at all. `toque/it` is how many times as much toque does; `CPU it/toque` how many
times as much CPU the other takes. Both are medians of the rounds' own ratios: above 1, toque is ahead.
"""


def _case_table(case: Case, found: Sequence[Measured]) -> str:
    rows = [_row(name, found) for name in dict.fromkeys(one.contender for one in found)]
    lines = [f"### {case.name} ({case.unit}s)", "", _line(_COLUMNS), _line("---" for _ in _COLUMNS)]
    return "\n".join([*lines, *map(_line, rows), "", *_remarks(case, found)])


def _row(name: str, found: Sequence[Measured]) -> list[str]:
    of_it = [one for one in found if one.contender == name]
    rates = [one.per_s for one in of_it]
    is_base = name == BASE
    return [
        name,
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} - {max(rates):,.0f}",
        "" if is_base else f"{_median(of_it, lambda one: one.cpu_us):.2f}",
        "" if is_base else f"{_median(of_it, lambda one: one.cpu_share):.2f}",
        *(_us(_median(of_it, lambda one, at=at: _latency_us(one)[at])) for at in (0, 1)),
        "" if is_base else f"{max(one.rss_mb for one in of_it):.0f}",
        "" if name == US else _ratio(found, name, lambda us, it: us.per_s / it.per_s if it.per_s else 0),
        "" if name in {US, BASE} else _ratio(found, name, lambda us, it: it.cpu_us / us.cpu_us if us.cpu_us else 0),
    ]


def _remarks(case: Case, found: Sequence[Measured]) -> list[str]:
    remarks = []
    base = [one for one in found if one.contender == BASE]
    for name in dict.fromkeys(one.contender for one in found):
        of_it = [one for one in found if one.contender == name]
        if case.connections == 1 and base and name != BASE:
            added = [
                _median(of_it, lambda one, at=at: _latency_us(one)[at])
                - _median(base, lambda one, at=at: _latency_us(one)[at])
                for at in (0, 1)
            ]
            remarks.append(f"{name}: added p50 {added[0]:,.0f} us, p99 {added[1]:,.0f} us")
        if case.pace_us:
            way = [_median(of_it, lambda one, at=at: one.figures.chunk_way_us[at]) for at in (0, 1)]
            remarks.append(f"{name}: a chunk's way p50 {_us(way[0])} us, p99 {_us(way[1])} us")
        errors = sum(one.figures.errors for one in of_it)
        if errors:
            status = max(one.figures.last_status for one in of_it)
            remarks.append(f"{name}: {errors} errors (last status {status}); its figures do not count")
    return [*(f"- {remark}" for remark in remarks), ""] if remarks else []


def _latency_us(one: Measured) -> tuple[float, float]:
    return one.figures.first_chunk_us if one.case.streams else one.figures.total_us


def _median(found: Iterable[Measured], of: Callable[[Measured], float]) -> float:
    return median(of(one) for one in found)


def _ratio(found: Sequence[Measured], name: str, ratio: Callable[[Measured, Measured], float]) -> str:
    ours = {one.round: one for one in found if one.contender == US}
    ratios = [ratio(ours[one.round], one) for one in found if one.contender == name and one.round in ours]
    return f"{median(ratios):.2f}" if ratios else ""


def _us(us: float) -> str:
    """Write a time; there is none where nothing was answered while it was measured."""
    return f"{us:,.0f}" if us >= 0 else "-"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_json(found: Sequence[Measured], contenders: Sequence[Contender], skipped: dict[str, str]) -> dict[str, object]:
    """Every round as it was measured."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "skipped": skipped,
        "idle_rss_mb": {one.name: one.idle_rss_mb for one in contenders},
        "measured": [asdict(one) for one in found],
    }
