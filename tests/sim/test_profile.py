"""Profiles: those that come along, and what is said about a wrong one."""

from pathlib import Path

import pytest

from toque.model.errors import ConfigError
from toque.sim.arrival import Arrival
from toque.sim.batching import BatchingProfile
from toque.sim.profile import load_profile, shipped_profiles
from toque.sim.slots import SlotsProfile

BATCHING = 'model = "batching"\nslots = 8\niteration_s = 0.01\nkv_tokens = 1000\n'


def told(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_profile(str(path))
    assert caught.value.where == str(path)
    assert caught.value.fix
    return caught.value


def test_every_profile_that_comes_along_loads_and_bounds_a_request_from_both_sides() -> None:
    assert shipped_profiles() == ["embedded", "llama-70b-8xh100", "llama-8b-h100"]
    arrival = Arrival(0.0, 800, 200)
    for name in shipped_profiles():
        profile = load_profile(name)
        assert 0 < profile.prefill_s(800) < profile.service_s(arrival) <= profile.longest_s(arrival, 800)
        assert profile.least_work_s(arrival) <= profile.service_s(arrival)


def test_published_figures_come_out_as_published() -> None:
    small = load_profile("llama-8b-h100")
    assert isinstance(small, SlotsProfile)
    assert small.prefill_s(1000) == pytest.approx(0.28)
    assert small.token_s(0) == 0.012
    assert small.token_s(small.slots) == pytest.approx(0.024)


def test_a_file_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "slots"\nslots = 2\nbase_s = 1\n', "utf-8")
    assert load_profile(str(path)) == SlotsProfile(2, 1.0)
    path.write_text(BATCHING, "utf-8")
    assert load_profile(str(path)) == BatchingProfile(8, 0.01, 1000)


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="there is no profile 'h100'") as caught:
        load_profile("h100")
    assert "llama-8b-h100" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "said", "fix"),
    [
        ("slots = [", "not TOML", "profiles.md"),
        ("slots = 2\n", "model must be slots or batching, not None", "slots"),
        ('model = "gpu"\n', "not 'gpu'", "slots"),
        ('model = "slots"\n', "slots is missing", "profiles.md"),
        ('model = "slots"\nslots = 2\nbase = 1\n', "there is no base in", "base_s"),
        ('model = "slots"\nslots = 2\nzzzz = 1\n', "there is no zzzz in", "decode_token_s"),
        ('model = "slots"\nslots = 0\n', "slots must not be 0", "from 1 to 4096"),
        ('model = "slots"\nslots = true\n', "slots must not be True", "whole number"),
        ('model = "slots"\nslots = 2\nbase_s = -1\n', "base_s must not be -1", "0 or more"),
        ('model = "slots"\nslots = 2\nbase_s = nan\n', "base_s must not be nan", "0 or more"),
        ('model = "slots"\nslots = 2\nprefill = "both"\n', "prefill must not be 'both'", "each, together"),
        ('model = "slots"\nslots = 2\nprefill = 1\n', "prefill must not be 1", "each, together"),
        ('model = "slots"\nslots = 2\nbase_s = "1"\n', "base_s must not be '1'", "seconds"),
        (BATCHING.replace("0.01", "0"), "an iteration cannot take no time", "iteration_s"),
        (BATCHING + "batch_tokens = 8\n", "batch_tokens 8 leaves no room", "above slots"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_write(tmp_path: Path, text: str, said: str, fix: str) -> None:
    error = told(tmp_path, text)
    assert said in error.message
    assert fix in error.fix


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_profile(str(tmp_path / "nowhere.toml"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        load_profile(str(binary))
