"""The words of isolation: what a class stands for, and lists of cores."""

import pytest

from toque.model.isolation_spec import FREE, IsolationSpec, read_cores


def test_nothing_said_changes_nothing() -> None:
    assert (FREE.is_batch, FREE.niceness, FREE.discipline, FREE.limits_cpu) == (False, 0, "normal", False)


def test_batch_gives_way_to_all_others() -> None:
    batch = IsolationSpec("batch")
    assert (batch.niceness, batch.discipline) == (19, "idle")


def test_what_is_said_beats_the_class() -> None:
    batch = IsolationSpec("batch", scheduling="normal", nice=5)
    assert (batch.niceness, batch.discipline) == (5, "normal")


@pytest.mark.parametrize(
    ("text", "cores"), [("0", {0}), ("2,5-7", {2, 5, 6, 7}), (" 1 - 2 , 1", {1, 2}), ("4095", {4095})]
)
def test_cores_are_a_list_of_numbers_and_ranges(text: str, cores: set[int]) -> None:
    assert read_cores(text) == cores


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "neither a core nor a range"),
        ("a", "neither a core nor a range"),
        ("1-", "neither a core nor a range"),
        ("1,,2", "neither a core nor a range"),
        ("3-1", "ends before it begins"),
        ("0-4096", "no core 4096"),
    ],
)
def test_what_is_no_list_of_cores_is_said(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_cores(text)
