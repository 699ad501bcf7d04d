"""`toque conformance`: what it says of toque, of a gateway that believes everything, and of nobody."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.service import serving
from toque.cli.exits import Exit
from toque.conformance.kit import all_cases
from toque.testing import Answer, FakeEngine, in_background

KEY = "tq_live_conformance"
SETTINGS = f"""
lame_duck_s = 0.0
[models.chat]
agent = "fake"
slots = 4
options = {{ tokens = 100000, token_gap_s = 0.002 }}
queue = {{ length_max = 60 }}

[keys.kit]
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_toque_keeps_every_promise_of_the_kit(tmp_path: Path) -> None:
    with serving(tmp_path, SETTINGS) as service:
        screen = Screen({"KIT_KEY": KEY})
        metrics = f"{service.admin_url}/metrics"
        status = screen.run("conformance", service.url, "--key", "env:KIT_KEY", "--metrics", metrics, "--json")
        assert service.stop() == 0, "whoever left, leaves nothing behind that would hold up the end"
    told = json.loads(screen.shown)
    assert [row for row in told["cases"] if row["verdict"] != "pass"] == []
    assert [row["id"] for row in told["cases"]] == [case.id for case in all_cases()]
    assert status == Exit.DONE
    assert KEY not in screen.shown + screen.said


def test_a_gateway_that_believes_everything_fails_and_the_reader_learns_what_was_seen() -> None:
    with in_background(FakeEngine(lambda _: Answer(200, [b'{"data":[{"id":"m"}]}']))) as engine:
        screen = Screen()
        assert screen.run("conformance", engine.url, "--only", "H07-empty", "A-error-bad-json") == Exit.FAILED
    assert "FAIL  H07-empty" in screen.shown
    assert "200" in screen.shown
    assert "promised: 400" in screen.shown
    assert screen.shown.endswith("0 pass, 2 fail, 0 skipped\n")


def test_an_engine_that_is_honest_passes_without_being_toque() -> None:
    with in_background(FakeEngine()) as engine:
        screen = Screen()
        metrics = f"http://127.0.0.1:{engine.port}/metrics"
        only = ("A-stream", "A-plain", "H01-two", "C08", "C03", "C04")
        assert screen.run("conformance", engine.url, "--quick", "--metrics", metrics, "--only", *only) == Exit.DONE
    assert "0 in flight" in screen.shown
    assert "0 fail" in screen.shown


def test_a_case_that_cannot_be_tried_says_why() -> None:
    with in_background(FakeEngine()) as engine:
        screen = Screen()
        assert screen.run("conformance", engine.url, "--only", "A-error-no-key", "--json") == Exit.DONE
    (row,) = json.loads(screen.shown)["cases"]
    assert (row["verdict"], row["seen"]) == ("skipped", "no key was given to leave out")


def test_the_promises_can_be_read_without_a_gateway() -> None:
    screen = Screen()
    assert screen.run("conformance", "--list", "--only", "C01") == Exit.DONE
    assert screen.shown.startswith("C01-slow-header ")


def test_every_case_has_a_name_of_its_own() -> None:
    ids = [case.id for case in all_cases()]
    assert len(ids) == len(set(ids)) > 100


def test_what_cannot_be_run_is_told_in_a_sentence() -> None:

    with in_background(FakeEngine()) as engine:
        url = engine.url
    for argv, status, sentence in (
        ([url], Exit.FAILED, "Nothing answers at"),
        ([], Exit.FAILED, "Name the gateway"),
        ([url, "--only", "X99"], Exit.FAILED, "No case begins so"),
        (["ftp://host"], Exit.USAGE, "is no URL of a gateway"),
    ):
        screen = Screen()
        assert screen.run("conformance", *argv) == status
        assert sentence in screen.said


def test_a_key_itself_is_refused_and_not_repeated() -> None:
    screen = Screen()
    assert screen.run("conformance", "http://127.0.0.1:1", "--key", KEY) == Exit.USAGE
    assert KEY not in screen.shown + screen.said
