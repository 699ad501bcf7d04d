"""Moments and spans, and the settings that are moments."""

import hashlib
from pathlib import Path

import pytest

from toque.config.moment import read_moment, read_span, tell_moment
from toque.config.read import read_config
from toque.model.errors import ConfigError

DIGEST = hashlib.sha256(b"x").hexdigest()
DAY = 1_801_353_600.0


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ('"2027-01-31"', DAY),
        ("2027-01-31", DAY),
        ('"2027-01-31T12:00:00Z"', DAY + 43_200),
        ('"2027-01-31T12:00:00"', DAY + 43_200),
        ("2027-01-31T13:00:00+01:00", DAY + 43_200),
        ("1801353600", DAY),
    ],
)
def test_a_moment_is_written_in_many_ways(tmp_path: Path, written: str, at: float) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'[keys.a]\nsha256 = "{DIGEST}"\nexpires_at = {written}\n')
    assert read_config(path, {}, {}).keys[0].expires_at == at


def test_what_is_no_moment_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'[keys.a]\nsha256 = "{DIGEST}"\nexpires_at = "soon"\n')
    with pytest.raises(ConfigError, match="must be a date or a time") as caught:
        read_config(path, {}, {})
    assert caught.value.where == f"{path}:3:1"


def test_the_same_digest_may_not_stand_twice_former_ones_included(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'[keys.a]\nsha256 = "{DIGEST}"\n[keys.b]\nsha256 = "{"0" * 64}"\nformer_sha256 = "{DIGEST}"\n')
    with pytest.raises(ConfigError, match="are the same"):
        read_config(path, {}, {})


def test_moments_and_spans_read_back() -> None:
    assert read_moment(tell_moment(DAY + 1)) == DAY + 1
    assert read_moment(7) == 7
    assert [read_span(text) for text in ("0s", "90s", "15m", "24h", "30d")] == [0, 90, 900, 86_400, 2_592_000]
    with pytest.raises(ValueError, match="no span"):
        read_span("1y")
