"""The catalogue of faults and the tests that show it know each other."""

from docs.catalogue import groups, recovery, shown
from tests.house.source import hold

CASES = {case.id: case for cases in groups().values() for case in cases}


def test_an_id_in_the_name_of_a_test_is_one_of_the_catalogue() -> None:
    hold("unknown-case", shown().keys() - CASES.keys())


def test_every_promise_of_today_is_shown_by_a_test() -> None:
    hold("unshown-case", {case.id for case in CASES.values() if not case.comes_with} - shown().keys())


def test_a_recovery_was_measured_for_a_case_of_the_catalogue() -> None:
    hold("unknown-recovery", recovery().keys() - CASES.keys())
