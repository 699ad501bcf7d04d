"""One measurement, and the interleaved rounds of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cases import Case
from contender import Contender
from rig import Figures, Rig

WARM_S = 0.4
WARM_S_PER_CONNECTION = 0.001
"""Connections are opened while it warms up: their cost is not that of a request."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one gateway did with one case in one round.

    `per_s` counts requests or chunks; `cpu_us` is the gateway's user and system time for each of them, `cpu_share` how
    much of its core it had.
    """

    contender: str
    case: Case
    round: int
    figures: Figures
    per_s: float
    cpu_us: float
    cpu_share: float
    rss_mb: float


def rounds(
    rig: Rig,
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    order: tuple[int, float],
    tell: Callable[[str], None],
) -> list[Measured]:
    """Run `order` = (rounds, seconds of each measurement). Within a case gateways take turns, first one, then another."""
    count, measured_s = order
    found = []
    for number in range(count):
        for case in cases:
            turn = number % len(contenders)
            able = [contender for contender in contenders if case.connections <= contender.connections_max]
            for contender in (*able[turn:], *able[:turn]):
                tell(f"round {number + 1} of {count}: {case.name}: {contender.name}")
                found.append(_measure(rig, contender, case, number, measured_s))
    return found


def _measure(rig: Rig, contender: Contender, case: Case, number: int, measured_s: float) -> Measured:
    begun: list[float] = []
    contender.work()
    seconds = measured_s * contender.patience
    warm_s = WARM_S + case.connections * WARM_S_PER_CONNECTION
    figures = rig.load(case, contender.port, warm_s, seconds, lambda: begun.append(contender.cpu_s()))
    used_s = contender.cpu_s() - begun[0] if begun else 0.0
    contender.rest()
    units = figures.chunks if case.streams else figures.requests
    return Measured(
        contender=contender.name,
        case=case,
        round=number,
        figures=figures,
        per_s=units / figures.seconds if figures.seconds else 0.0,
        cpu_us=used_s / units * 1e6 if units else 0.0,
        cpu_share=used_s / figures.seconds if figures.seconds else 0.0,
        rss_mb=contender.rss_mb(),
    )
