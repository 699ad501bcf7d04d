"""Fallbacks in the settings: what is read, and what could never work is refused before anybody needs it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from toque.config.read import read_config
from toque.model.errors import ConfigError

Complaint: TypeAlias = Callable[[str], ConfigError]

MODELS = """\
{top}
[models.chat]
agent = "fake"
fallback = {{ to = {to}, patience_s = 5 }}
{chat}
[models.small]
agent = "fake"
{small}
[models.gpt]
agent = "openai"
url = "{url}"
{gpt}
{keys}
"""
KEY = f'[keys.someone]\nsha256 = "{"a" * 64}"\n'


def settings(
    to: str = '["small"]',
    *,
    top: str = "",
    chat: str = "",
    small: str = "",
    gpt: str = "",
    url: str = "https://api.example.com/v1",
    keys: str = "",
) -> str:
    return MODELS.format(to=to, top=top, chat=chat, small=small, gpt=gpt, url=url, keys=keys)


def test_a_whole_example_is_read(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(
        settings(
            '["small", "gpt"]',
            top="spending = { limit_per_hour = 2.5 }",
            small="local_only = true",
            gpt="price = { input = 0.15, output = 0.6 }",
            keys=KEY + "may_leave = true\n",
        )
    )
    spec = read_config(path, {}, {})
    chat, small, gpt = (model.pool for model in spec.models)
    assert (chat.fallback.to, chat.fallback.patience_s, chat.fallback.batch_patience_s) == (("small", "gpt"), 5.0, 0.0)
    assert (chat.hosted, small.hosted, gpt.hosted) == (False, False, True)
    assert (chat.local_only, small.local_only) == (False, True)
    assert gpt.price.cost(1_000_000, 2_000_000) == pytest.approx(1.35)
    assert spec.spending.limit_per_hour == 2.5
    assert spec.keys[0].may_leave


@pytest.mark.parametrize(
    ("url", "hosted"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://192.168.1.5:8000/v1", True),
        ("https://api.example.com/v1", True),
        ("http://127.0.0.1.example.com/v1", True),
    ],
)
def test_only_loopback_is_this_machine(tmp_path: Path, url: str, hosted: bool) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'[models.gpt]\nagent = "openai"\nurl = "{url}"\n')
    assert read_config(path, {}, {}).models[0].pool.hosted is hosted


def test_replicas_of_a_driver_of_ones_own_may_be_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text('driver = "my.cluster:Driver"\n[models.chat]\nagent = "fake"\n')
    assert read_config(path, {}, {}).models[0].pool.hosted


LOOP = 'fallback = { to = ["gpt"] }'


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        (settings('["smal"]'), "There is no model 'smal'", "Did you mean 'small'?"),
        (settings('["chat"]'), "chat cannot be its own fallback", "Leave it out"),
        (settings('["small", "small"]'), "small is named twice", "once"),
        (settings(str([f"m{n}" for n in range(9)]).replace("'", '"')), "9 fallbacks are too many", "8 at most"),
        (
            settings('["gpt"]', top="keyless_may_leave = true", chat="local_only = true"),
            "chat is local-only, and gpt is on another machine",
            "local_only = false",
        ),
        (settings('["gpt"]'), "nobody's requests may leave", "keyless_may_leave = true"),
        (settings('["gpt"]', top="keyless_may_leave = true", keys=KEY), "nobody's requests may", "may_leave = true"),
        (
            settings(small="price = { output = 1.0 }"),
            "small has a price, and nothing may be spent on fallbacks",
            "limit_per_hour = 1.0",
        ),
        (settings(small='fallback = { to = ["chat"] }'), "chat -> small -> chat", "so that every way ends"),
        (
            settings(small=LOOP, gpt='fallback = { to = ["chat"] }', url="http://127.0.0.1:1/v1"),
            "chat -> small -> gpt -> chat",
            "so that every way ends",
        ),
    ],
)
def test_what_could_never_work_is_told_with_a_way_out(complaint: Complaint, text: str, reason: str, fix: str) -> None:
    error = complaint(text)
    assert reason in error.message
    assert fix in error.fix
    assert "toque.toml" in error.where


def test_a_chain_that_ends_is_no_loop(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(settings('["small", "gpt"]', small=LOOP, url="http://127.0.0.1:1/v1"))
    assert len(read_config(path, {}, {}).models) == 3
