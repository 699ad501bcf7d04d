"""Cold starts: constant, lognormal, by quantiles, or as measured."""

import random
from statistics import median

import pytest

from toque.model.errors import ConfigError
from toque.sim.cold_start import MODEL_LOADS, Draw, parse_cold_start, quantiles


def drawn(draw: Draw, count: int = 20_000) -> list[float]:
    chance = random.Random(5)
    return sorted(draw(chance) for _ in range(count))


def test_a_number_is_the_same_every_time() -> None:
    assert drawn(parse_cold_start("30"), 3) == [30.0, 30.0, 30.0]


def test_a_lognormal_has_its_median() -> None:
    assert median(drawn(parse_cold_start("lognormal:30,0.5"))) == pytest.approx(30, rel=0.02)


def test_the_published_loads_have_their_quantiles() -> None:
    seconds = drawn(parse_cold_start("model-loads"))
    for share, quantile_s in MODEL_LOADS[1:-1]:
        assert seconds[int(share * len(seconds))] == pytest.approx(quantile_s, rel=0.1)
    assert seconds[-1] <= 79


def test_measured_starts_are_drawn_as_they_were() -> None:
    assert set(drawn(parse_cold_start("measured:28,31,40"))) == {28.0, 31.0, 40.0}


def test_quantiles_end_where_the_last_one_is() -> None:
    assert max(drawn(quantiles(((0.0, 1.0), (0.5, 2.0))))) == 2.0


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "nan", "inf", "lognormal:0,1", "lognormal:3", "measured:", "3,4", "x:3"]
)
def test_what_is_no_cold_start_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="is no cold start") as caught:
        parse_cold_start(text)
    assert "lognormal" in caught.value.fix
