"""Who may hold slots, and who is proven dead."""

import asyncio
import subprocess
import sys
from pathlib import Path

from toque.alliance.census import LocalCensus, is_dead, this_incarnation


def test_this_process_lives_and_one_that_ended_is_dead() -> None:
    mine = this_incarnation()
    assert not is_dead(mine)
    told = subprocess.run(
        [sys.executable, "-c", "from toque.alliance.census import this_incarnation as t; print(t())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert is_dead(told)


def test_what_is_not_of_this_machine_or_not_understood_may_live() -> None:
    assert not is_dead("another/1:1:1:ab")
    assert not is_dead("")
    assert not is_dead("nonsense")


def test_the_next_controller_knows_who_was_there_and_forgets_the_dead(tmp_path: Path) -> None:
    path, mine = tmp_path / "gateways.json", this_incarnation()
    machine, pid, began, _ = mine.split(":")
    dead = f"{machine}:{pid}:{int(began) + 1}:ab"
    LocalCensus(path).note({"a": mine, "b": dead})
    census = LocalCensus(path)
    assert asyncio.run(census.expected()) == {"a": mine}
    assert asyncio.run(census.dead({"a": mine, "b": dead})) == ["b"]
    path.write_text("{")
    assert asyncio.run(census.expected()) == {}
