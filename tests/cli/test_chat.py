"""`toque chat` against an API that says what it is told to say."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit
from toque.testing import Answer, FakeEngine, in_background


def _chunk(text: str) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": text}}], "usage": None}).encode()


_USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
_DONE = b"data: [DONE]\n\n"


@dataclass
class Api:
    """What it answers and what it was asked."""

    engine: FakeEngine | None = None
    status: int = 200
    body: bytes = b": waiting\n\n" + _chunk("Because of ") + _chunk("scattering.") + _USAGE + _DONE

    @property
    def url(self) -> str:
        assert self.engine is not None
        return f"http://{self.engine.host}:{self.engine.port}"

    @property
    def asked(self) -> list[dict[str, object]]:
        assert self.engine is not None
        return [json.loads(received.body) for received in self.engine.requests if received.body]

    @property
    def keys(self) -> set[str]:
        assert self.engine is not None
        return {received.fields.get("authorization", "") for received in self.engine.requests}


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    models = Answer(pieces=[b'{"data": [{"id": "first"}, {"id": "second"}]}'])
    with in_background(FakeEngine(lambda asked: Answer(api.status, [api.body]) if asked.body else models)) as engine:
        api.engine = engine
        yield api


def test_one_question_is_asked_of_the_first_model_and_its_answer_is_data(api: Api, screen: Screen) -> None:
    assert screen.run("chat", "Why is the sky blue?", "--url", api.url) == Exit.DONE
    assert screen.shown == "Because of scattering.\n"
    assert screen.said == ""
    assert api.asked[0]["model"] == "first"
    system, question = api.asked[0]["messages"]  # type: ignore[misc]
    assert (system["role"], question) == ("system", {"role": "user", "content": "Why is the sky blue?"})
    assert api.asked[0]["max_completion_tokens"] == 1000


def test_the_question_may_come_through_a_pipe(api: Api) -> None:
    screen = Screen(typed="Why?\n")
    assert screen.run("chat", "--url", api.url, "--model", "second", "--system", "") == Exit.DONE
    assert api.asked[0]["messages"] == [{"role": "user", "content": "Why?"}]
    assert api.asked[0]["model"] == "second"


def test_an_answer_that_was_cut_says_so_beside_it(api: Api, screen: Screen) -> None:
    end = b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n'
    api.body = _chunk("Because") + end + _DONE
    assert screen.run("chat", "Why?", "--url", api.url, "--max-tokens", "1") == Exit.DONE
    assert screen.shown == "Because\n"
    assert screen.said == "(cut after 1 token; --max-tokens allows more)\n"


def test_json_gives_the_whole_answer_with_its_usage(api: Api, screen: Screen) -> None:
    screen.run("chat", "Why?", "--url", api.url, "--json")
    told = json.loads(screen.shown)
    assert told["text"] == "Because of scattering."
    assert told["usage"]["completion_tokens"] == 2


def test_the_key_is_read_from_a_file_and_never_shown(api: Api, screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("tq_live_secret\n")
    screen.run("chat", "Why?", "--url", api.url, "--key-file", str(tmp_path / "key"))
    assert api.keys == {"Bearer tq_live_secret"}
    assert "tq_live_secret" not in screen.shown + screen.said


def test_the_key_may_stand_in_the_environment(api: Api) -> None:
    Screen({"TOQUE_KEY": "tq_live_other"}).run("chat", "Why?", "--url", api.url)
    assert api.keys == {"Bearer tq_live_other"}


def test_an_error_in_the_middle_of_a_stream_fails_the_command_with_its_words(api: Api, screen: Screen) -> None:
    api.body = _chunk("Because") + b'data: {"error": {"message": "The replica was lost.", "code": "upstream_lost"}}\n\n'
    assert screen.run("chat", "Why?", "--url", api.url) == Exit.FAILED
    assert screen.shown.startswith("Because")
    assert "The replica was lost." in screen.said


def test_a_stream_that_breaks_off_is_no_answer(api: Api, screen: Screen) -> None:
    api.body = _chunk("Because")
    assert screen.run("chat", "Why?", "--url", api.url) == Exit.FAILED
    assert "broke off" in screen.said


def test_a_refusal_is_told_in_the_service_s_own_words(api: Api, screen: Screen) -> None:
    api.status, api.body = 503, b'{"error": {"message": "The waiting line is full.", "code": "queue_full"}}'
    assert screen.run("chat", "Why?", "--url", api.url) == Exit.FAILED
    assert "The waiting line is full." in screen.said


def test_an_answer_cannot_command_the_terminal(api: Api) -> None:
    api.body = _chunk("\x1b]0;owned\x07plain\n") + _DONE
    watched, piped = Screen({"NO_COLOR": "1"}, is_terminal=True), Screen()
    for screen in (watched, piped):
        screen.run("chat", "Why?", "--url", api.url)
    assert watched.shown == "]0;ownedplain\n\n"
    assert "\x1b" in piped.shown


def test_what_is_no_toque_is_said_to_be_none(api: Api, screen: Screen) -> None:
    api.status, api.body = 500, b"<html>"
    assert screen.run("chat", "Why?", "--url", api.url) == Exit.FAILED
    assert "HTTP 500" in screen.said


def test_without_a_question_and_without_a_terminal_there_is_nothing_to_do(api: Api, screen: Screen) -> None:
    assert screen.run("chat", "--url", api.url) == Exit.FAILED
    assert "no question" in screen.said


def test_where_nothing_listens_the_way_out_is_told(screen: Screen, unused_tcp_port: int) -> None:
    assert screen.run("chat", "Why?", "--url", f"127.0.0.1:{unused_tcp_port}") == Exit.NOT_RUNNING
    assert "toque up" in screen.said


def test_a_conversation_keeps_its_turns_until_ctrl_d(api: Api) -> None:
    keyboard, screen = pty.openpty()
    argv = [sys.executable, "-m", "toque", "chat", "--url", api.url]
    environment = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(argv, stdin=screen, stdout=screen, stderr=screen, env=environment) as talk, _ended(talk):
        os.close(screen)
        seen = _read_until(keyboard, b"> ")
        for question in (b"Why?\n", b"And then?\n"):
            os.write(keyboard, question)
            seen += _read_until(keyboard, b"> ", after=b"scattering.")
        os.write(keyboard, b"\x04")
        assert talk.wait(10) == Exit.DONE
    os.close(keyboard)
    assert b"Talking with first" in seen
    assert [len(asked["messages"]) for asked in api.asked] == [2, 4]  # type: ignore[arg-type]


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process behind, also when the story fails."""
    try:
        yield
    finally:
        process.kill()


def _read_until(keyboard: int, mark: bytes, after: bytes = b"") -> bytes:
    seen = b""
    while mark not in (seen.partition(after)[2] if after else seen):
        ready, _, _ = select.select([keyboard], [], [], 20)
        assert ready, seen
        seen += os.read(keyboard, 4096)
    return seen
