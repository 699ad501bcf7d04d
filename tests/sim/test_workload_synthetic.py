"""Synthetic workloads have the rates and shapes they promise, come in order, and are the same each time."""

import random
from itertools import pairwise
from pathlib import Path
from statistics import mean, pstdev

import pytest

from toque.model.errors import ConfigError
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.workload.named import find_workload
from toque.sim.workload.shape import as_batch, mixed, sped_up, thinned, window

ALL = [
    "poisson:rate=5",
    "gamma:rate=5,cv=3",
    "on_off:rate=20,on=30,off=90",
    "daily:mean=2,swing=0.8,duration=86400",
    "flash_crowd:rate=1,peak=30,start=600,fade=300",
    "square:low=1,high=9,period=600",
    "bursts",
]


def _times(text: str) -> list[float]:
    return [arrival.at for arrival in find_workload(text).start()]


@pytest.mark.slow
@pytest.mark.parametrize("text", ALL)
def test_each_is_in_order_and_the_same_again(text: str) -> None:
    times = _times(text)
    assert times == sorted(times)
    assert times == _times(text)
    assert len(times) > 50


@pytest.mark.slow
def test_gaps_of_a_poisson_process_vary_as_much_as_they_last_and_clumped_ones_more() -> None:
    for text, cv in (("poisson:rate=5,duration=20000", 1.0), ("gamma:rate=5,cv=3,duration=20000", 3.0)):
        gaps = [later - earlier for earlier, later in pairwise(_times(text))]
        assert mean(gaps) == pytest.approx(0.2, rel=0.05)
        assert pstdev(gaps) / mean(gaps) == pytest.approx(cv, rel=0.05)


def test_a_square_wave_is_low_then_high() -> None:
    times = _times("square:low=1,high=9,period=600,duration=6000")
    low = sum(time % 600 < 300 for time in times) / 3000
    assert low == pytest.approx(1, rel=0.1)
    assert len(times) / 3000 - low == pytest.approx(9, rel=0.1)


def test_a_day_has_its_trough_at_four_and_its_peak_at_sixteen() -> None:
    times = _times("daily:mean=2,swing=0.8,duration=86400")
    trough = sum(3.5 <= time / 3600 < 4.5 for time in times) / 3600
    peak = sum(15.5 <= time / 3600 < 16.5 for time in times) / 3600
    assert trough == pytest.approx(0.4, rel=0.15)
    assert peak == pytest.approx(3.6, rel=0.1)


def test_a_crowd_comes_at_its_time_and_fades() -> None:
    times = _times("flash_crowd:rate=1,peak=30,start=600,fade=300")
    assert sum(time < 600 for time in times) == pytest.approx(600, rel=0.15)
    assert sum(600 <= time < 900 for time in times) == pytest.approx(300 + 30 * 150, rel=0.1)


def test_the_demonstration_is_fifty_close_together_and_five_apart() -> None:
    gaps = [later - earlier for earlier, later in pairwise(_times("bursts"))]
    assert len(gaps) == 54
    assert all(0.010 <= gap <= 0.050 for gap in gaps[:49])
    assert gaps[49:] == pytest.approx([0.5] * 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson:speed=5", "unknown key 'speed'"),
        ("poisson:", "lacks rate"),
        ("poisson:rate=0", "not possible"),
        ("poisson:rate=fast", "not possible"),
        ("poisson:rate=nan", "not possible"),
        ("daily:mean=1,swing=2", "not possible"),
        ("nowhere.csv", "there is no trace 'nowhere.csv'"),
        ("poison:rate=5", "there is no trace"),
    ],
)
def test_what_names_no_workload_is_told_with_a_way_out(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        find_workload(text)
    assert caught.value.fix


def test_a_file_of_the_users_goes_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("arrival_s\n0\n1\n")
    assert _times(str(path)) == [0.0, 1.0]


def test_traffic_can_be_sped_up_thinned_cut_and_mixed() -> None:
    traffic = [Arrival(float(second)) for second in range(1000)]
    assert [arrival.at for arrival in sped_up(traffic, 4)][:3] == [0.0, 0.25, 0.5]
    assert len(list(thinned(traffic, 0.25, random.Random(1)))) == pytest.approx(250, rel=0.2)
    assert [arrival.at for arrival in window(traffic, 10, 12.5)] == [0.0, 1.0, 2.0]
    both = list(mixed(traffic[:3], as_batch([Arrival(0.5), Arrival(7.0)])))
    assert [arrival.at for arrival in both] == [0.0, 0.5, 1.0, 2.0, 7.0]
    assert [arrival.service_class for arrival in both].count(ServiceClass.BATCH) == 2
