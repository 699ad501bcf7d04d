"""The comparison as Markdown: one table a trace, and one over all cells."""

from collections.abc import Sequence
from itertools import groupby
from math import exp, log
from pathlib import Path

from cells import Cell, Score

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def tables(cells: Sequence[Cell]) -> str:
    """Return all tables."""
    parts = [_overall(cells)]
    parts += [_trace(list(group)) for _, group in groupby(cells, key=lambda cell: cell.trace)]
    return "\n\n".join(parts)


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _overall(cells: Sequence[Cell]) -> str:
    lines = [
        f"### All {len(cells)} cells",
        "",
        "| policy | cost, x fixed | cost, x plan | cells that hold | cells dearer than fixed |",
        "|---|---|---|---|---|",
    ]
    rows = [
        (name, [score for cell in cells for score in cell.scores if _name(score) == name]) for name in _names(cells)
    ]
    for name, scores in sorted(rows, key=lambda row: _mean([score.fixed_ratio for score in row[1]])):
        holding = sum(score.holds for score in scores)
        dearer = sum(score.fixed_ratio > 1 + 1e-9 for score in scores)
        fixed, plan = _mean([score.fixed_ratio for score in scores]), _mean([score.plan_ratio for score in scores])
        lines.append(f"| {name} | {fixed:.2f} | {plan:.2f} | {holding} of {len(scores)} | {dearer} |")
    return "\n".join(lines)


def _trace(cells: Sequence[Cell]) -> str:
    heads = [f"cold start {cell.cold_start_s:g} s" for cell in cells]
    lines = [
        f"### {cells[0].trace}: {cells[0].requests:,} requests scored",
        "",
        f"| | {' | '.join(heads)} |",
        "|---" * (len(cells) + 1) + "|",
        f"| fixed in hindsight, h | {' | '.join(f'{cell.fixed_hours:.2f} (N = {cell.fixed_replicas})' for cell in cells)} |",
        f"| plan, h | {' | '.join(f'{cell.plan_hours:.2f}' for cell in cells)} |",
        f"| bound, h | {' | '.join(f'{cell.bound_hours:.2f}' for cell in cells)} |",
    ]
    lines += [f"| {name} | {' | '.join(_told(cell, name) for cell in cells)} |" for name in _names(cells)]
    return "\n".join(lines)


def _told(cell: Cell, name: str) -> str:
    score = next(score for score in cell.scores if _name(score) == name)
    target = f", target {score.target:g}" if score.tuned else ""
    missed = "" if score.holds else "missed, "
    cost = f"{score.fixed_ratio:.2f} / {score.plan_ratio:.2f}"
    return f"{f'**{cost}**' if score.holds else cost} ({missed}{100 * score.slo_attainment:.1f} %{target})"


def _names(cells: Sequence[Cell]) -> list[str]:
    return [_name(score) for score in cells[0].scores]


def _name(score: Score) -> str:
    if score.policy == "fixed":
        return "fixed, chosen beforehand"
    return f"{score.policy}, tuned" if score.tuned else score.policy


def _mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean, as is right for ratios."""
    return exp(sum(map(log, ratios)) / len(ratios))
