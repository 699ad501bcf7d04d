"""Small questions for the simulator's tests: simple service times, sizes and cold starts."""

from collections.abc import Sequence

from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.objective import Objective
from toque.sim.slots import SlotsProfile
from toque.sim.study import Question, Sizes

ONE_SECOND = SlotsProfile(slots=1, base_s=1.0)
"""One slot, and every request takes a second."""
ALL_WITHIN_TWO = Objective(limit_s=2.0, share=1.0)


def ask(
    times: Sequence[float],
    sizes: tuple[int, int, int] = (1, 1, 4),
    cold_start_s: float = 5.0,
    profile: SlotsProfile = ONE_SECOND,
    objective: Objective = ALL_WITHIN_TWO,
    output_tokens: int = 1,
) -> Question:
    """Ask about requests at these times; `sizes` are initial, minimum and maximum."""
    arrivals = [Arrival(at, 0, output_tokens) for at in sorted(times)]
    return Question(lambda: iter(arrivals), profile, constant(cold_start_s), Sizes(*sizes), objective)
