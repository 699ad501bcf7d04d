"""How numbers and rows look on a terminal.

Law: a text says the same as its number to a person in a hurry; whoever computes takes `--json`.
"""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Align rows of equal length into columns, two spaces apart."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def span(seconds: float) -> str:
    """Write a duration: `0.33 s`, `12 s`, `3m20s`, `2h05m`, `4d03h`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 24 else f"{hours // 24}d{hours % 24:02d}h"


def size(amount_bytes: int) -> str:
    """Write an amount of memory: `93 MiB`, `1.5 GiB`; nothing for zero, which means unknown."""
    if amount_bytes <= 0:
        return "-"
    mebibytes = amount_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def count(amount: int, noun: str) -> str:
    """Write `1 step`, `2 steps`."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"
