"""Replays schedules by their seeds: `./dev run python -m tests.scenarios 12345`, or a range of them: `12000-13000`.

A failing one is made small and its last steps are printed; `--whole` leaves it as it is. Exit status 1 if any failed.
"""

import sys

from tests.scenarios.schedule import Schedule, draw_schedule
from tests.scenarios.shrink import complaint, shrink
from tests.scenarios.world import World

STEPS_TOLD = 25


def main(words: list[str]) -> int:
    """Run what the words name."""
    if not words:
        print(__doc__)
    is_whole = "--whole" in words
    failed = 0
    for seed in _seeds([word for word in words if word != "--whole"]):
        schedule = draw_schedule(seed)
        told = complaint(schedule)
        if told:
            failed += 1
            print(f"seed {seed}: {told}\n  {schedule}")
            _tell(schedule if is_whole else shrink(schedule))
        elif len(words) == 1 and "-" not in words[0]:
            print(f"seed {seed}: every law held\n  {schedule}")
    return 1 if failed else 0


def _seeds(words: list[str]) -> list[int]:
    seeds: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _tell(schedule: Schedule) -> None:
    """The smallest schedule that still fails, and the steps before it did."""
    print(f"  smallest: {schedule}")
    for pool in schedule.spec.pools:
        print(f"    {pool}")
    world = World(schedule)
    steps = world.remember(STEPS_TOLD)
    try:
        world.run()
    except AssertionError as error:
        for now, event, effects in steps:
            print(f"    {now:10.3f} {event}" + "".join(f"\n{'':15}-> {effect}" for effect in effects))
        print(f"    broken: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
