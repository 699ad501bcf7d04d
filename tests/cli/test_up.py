"""What `toque up` says while it starts, and which settings it takes."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit
from toque.cli.parser import parse
from toque.cli.progress import Announcer, JsonAnnouncer
from toque.cli.up import settings_reader
from toque.config.read import read_config
from toque.model.announcement import (
    Announcement,
    Assumed,
    Draining,
    Fetching,
    Listening,
    Loading,
    ModelFailed,
    ModelReady,
)
from toque.model.errors import ConfigError

_START: list[Announcement] = [
    Assumed("capacity: 3.2 GiB of memory and 2 cores for replicas"),
    Fetching("the embedded model", 0.0),
    Fetching("the embedded model", 0.6),
    Fetching("the embedded model", 1.0),
    Listening("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
    Loading("chat", 0.0),
    Loading("chat", 0.1),
    Loading("chat", 0.8),
    ModelReady("chat", 0.42),
]


def _args(*argv: str) -> Namespace:
    return parse(("up", *argv))


def _announce(screen: Screen, announcements: list[Announcement]) -> None:
    with Announcer(read_config(None, {}, {}), screen.terminal) as announce:
        for announcement in announcements:
            announce(announcement)


def test_a_log_gets_plain_lines_and_each_quarter_once(screen: Screen) -> None:
    _announce(screen, _START)
    lines = screen.said.splitlines()
    assert lines[0] == "assumed: capacity: 3.2 GiB of memory and 2 cores for replicas"
    assert lines[1:4] == [
        "fetching the embedded model",
        "fetching the embedded model: 50%",
        "fetching the embedded model: 100%",
    ]
    assert lines[4] == "listening: http://127.0.0.1:8080"
    assert lines[6].startswith("try: curl http://127.0.0.1:8080/v1/chat/completions ")
    assert lines[7:] == ["loading chat", "loading chat: 75%", "ready: chat, after 0.42 s"]
    assert screen.shown == ""


def test_a_second_replica_is_told_again(screen: Screen) -> None:
    _announce(screen, [Loading("chat", 0.0), ModelReady("chat", 0.4), Loading("chat", 0.0)])
    assert screen.said.splitlines().count("loading chat") == 2


def test_a_terminal_sees_bars_and_keeps_the_lines() -> None:
    screen = Screen(is_terminal=True)
    _announce(screen, _START)
    assert "\x1b[" in screen.said
    assert "ready: chat, after 0.42 s" in screen.said


def test_a_failure_and_the_end_are_told_with_their_reason(screen: Screen) -> None:
    _announce(screen, [ModelFailed("chat", "it exited with 1"), Draining(30.0)])
    assert "failed: chat: it exited with 1" in screen.said
    assert "30 s" in screen.said


def test_a_program_gets_each_step_as_json(screen: Screen) -> None:
    announce = JsonAnnouncer(screen.terminal)
    for announcement in _START:
        announce(announcement)
    told = [json.loads(line) for line in screen.shown.splitlines()]
    assert told[-1] == {"announcement": "ModelReady", "model": "chat", "seconds": 0.42}


def test_a_source_alone_looks_for_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    (tmp_path / "toque.toml").write_text('listen = "127.0.0.1:1"\n')
    monkeypatch.chdir(tmp_path)
    read = settings_reader(_args("./other.gguf", "--model-name", "mine"), screen.terminal)
    spec = read()
    (model,) = spec.models
    assert (model.pool.name, model.agent.source, spec.listen) == ("mine", "./other.gguf", "127.0.0.1:8080")
    assert read.path is None
    with pytest.raises(ConfigError, match="no settings file"):
        read.again()


def test_without_a_source_the_file_here_is_read_and_flags_beat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    (tmp_path / "toque.toml").write_text('listen = "127.0.0.1:1"\ndrain_s_max = 7\n')
    monkeypatch.chdir(tmp_path)
    read = settings_reader(_args("--listen", "127.0.0.1:2", "--record-journal", "day.jsonl"), screen.terminal)
    spec = read()
    assert (spec.listen, spec.drain_s_max, spec.records.journal) == ("127.0.0.1:2", 7.0, "day.jsonl")
    assert spec.origins["listen"] == "--listen"
    (tmp_path / "toque.toml").write_text("drain_s_max = 8\n")
    assert (read.again().listen, read.again().drain_s_max) == ("127.0.0.1:2", 8.0)


def test_another_address_than_loopback_without_keys_is_refused_with_both_ways_out(screen: Screen) -> None:
    assert screen.run("up", "--listen", "0.0.0.0:8080") == Exit.USAGE
    assert "--listen" in screen.said
    assert "127.0.0.1" in screen.said
    assert "toque key create" in screen.said
