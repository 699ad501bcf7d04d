"""Stories of wrong settings: each error names the line, the reason and the fix."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.conftest import EXAMPLE
from toque.config.read import read_config
from toque.model.errors import ConfigError

Complaint = Callable[[str], ConfigError]

KEY = "aa" * 32
WRONG = [
    ("slots = 2", "slotz = 2", "toque.toml:6:1", "Unknown key 'slotz' in models.chat", "Did you mean 'slots'?"),
    ("slots = 2", "maximum = 2", "toque.toml:6:1", "Unknown key 'maximum'", "replicas = { maximum = ... }"),
    ("maximum = 4", "maximun = 4", "toque.toml:7:1", "Unknown key 'maximun'", "'maximum'"),
    ("[models.hosted]", "[model.hosted]", "toque.toml:11:1", "Unknown key 'model'", "'models'"),
    ("slots = 2", "slots = 0", "toque.toml:6:1", "slots must be at least 1, not 0", "at once"),
    ("slots = 2", "slots = 5000", "toque.toml:6:1", "must be at most 4096", "at once"),
    ("slots = 2", 'slots = "two"', "toque.toml:6:1", "must be a whole number, not 'two'", "at once"),
    ("slots = 2", "slots = true", "toque.toml:6:1", "must be a whole number, not True", "at once"),
    ("wait_s_max = 30", "wait_s_max = inf", "toque.toml:9:1", "must be a finite number", "callers time out"),
    ("wait_s_max = 30", "wait_s_max = 0", "toque.toml:9:1", "must be above 0", "callers time out"),
    ("slots = 2", "queue = 3", "toque.toml:9:46", "Not valid TOML", "Each name may stand once"),
    ('"concurrency"', '"conc"', "toque.toml:8:1", "must be one of concurrency, fixed, ", "how many replicas"),
    (
        '"llama.cpp"  ',
        '"lama.cpp"  ',
        "toque.toml:4:1",
        "must be one of llama.cpp, openai, fake",
        "speaks to the model",
    ),
    ("[models.hosted]", "[models.chat]", "toque.toml:11:13", "twice", "give one another name"),
    ("[models.hosted]", '[models."a b"]', "toque.toml:11:1", "'a b' cannot be a name", "1 to 128"),
    ("slots = 2", "slots =", "toque.toml:6:8", "Not valid TOML", "TOML looks like"),
    ("slots = 2", "models = []\nslots = 2", "toque.toml:6:1", "Unknown key 'models'", "Known here"),
    ("wait_s_max = 30", "wait_s_max = 1e300", "toque.toml:9:1", "must be at most", "callers time out"),
    ("slots = 2", f"slots = {'9' * 5000}", "toque.toml", "Not valid TOML", "TOML looks like"),
    ("127.0.0.1:8080", "http://127.0.0.1:80", "toque.toml:1:1", "is no address", "host:port"),
    ("127.0.0.1:8080", "[::zz]:80", "toque.toml:1:1", "is no address", "host:port"),
    ("127.0.0.1:8080", "localhost", "toque.toml:1:1", "'localhost' is no address", "host:port"),
    ("127.0.0.1:8080", "127.0.0.1:99999", "toque.toml:1:1", "no address", "host:port"),
    ("127.0.0.1:8080", "127.0.0.1:8081", "toque.toml", "same as listen", "port of its own"),
    (
        "slots = 64",
        "[overload]\naccept_ratio = 0.9",
        "toque.toml:16:1",
        "accept_ratio 0.9 is below",
        "follow each other",
    ),
    ("minimum_warm = 1", "minimum_warm = 9", "toque.toml:7:1", "minimum_warm 9 is above maximum 4", "maximum = 9"),
    ("target = 1.5", "burst_window_s = 90", "toque.toml:8:1", "longer than stable_window_s 60", "a tenth"),
    ('"concurrency", target = 1.5', '"fixed", target = 7', "toque.toml:8:1", "fixed wants 7", "maximum = 7"),
    ("slots = 2", "restart = { backoff_s_min = 60 }", "toque.toml:6:1", "above backoff_s_max", "grows"),
    ('source = "./model.gguf"', "", "toque.toml:3:1", "no model to load", 'source = "embedded"'),
    ('source = "./model.gguf"', 'source = "x"\nurl = "http://h/v1"', "toque.toml:6:1", "takes no url", "openai"),
    ("https://api.example.com/v1", "ftp://api", "toque.toml:13:1", "must be the base URL", "/v1"),
    ("https://api.example.com/v1", "http://[::1/v1", "toque.toml:13:1", "must be the base URL", "/v1"),
    ("https://", "https://me:pw@", "toque.toml:13:1", "does not belong into a url", "env:NAME"),
    ("slots = 64", 'source = "x"', "toque.toml:15:1", "takes no source", "url says it all"),
    ("slots = 64", "replicas = { maximum = 2 }", "toque.toml:15:1", "not ours to start", "slots says"),
    ("slots = 64", f'[keys.a]\nsha256 = "{KEY}"\nmodels = ["chta"]', "toque.toml:17:1", "no model 'chta'", "'chat'"),
    ("slots = 64", '[keys.a]\nsha256 = "123"', "toque.toml:16:1", "no SHA-256 digest", "toque key create"),
    ("slots = 64", "[keys.a]", "toque.toml:15:1", "sha256 is missing", "toque key create"),
    ("slots = 64", f'[keys.a]\nsha256="{KEY}"\n[keys.b]\nsha256="{KEY}"', "toque.toml:17:1", "are the same", "its own"),
    ("slots = 64", f'[keys.a]\nsha256="{KEY}"\nservice_class="vip"', "toque.toml:17:1", "'interactive' or 'batch'", ""),
    ("slots = 64", '[capacity]\nmemory = "8 elephants"', "toque.toml:16:1", "a size such as", "Memory"),
]


@pytest.mark.parametrize(("old", "new", "where", "reason", "fix"), WRONG, ids=[case[1][:40] for case in WRONG])
def test_each_mistake_is_told_with_its_line_and_fix(
    complaint: Complaint, old: str, new: str, where: str, reason: str, fix: str
) -> None:
    error = complaint(EXAMPLE.replace(old, new, 1))
    assert error.where == where
    assert reason in error.message
    assert fix in error.fix


def test_models_must_be_tables(complaint: Complaint) -> None:
    for wrong in ("models = []", "models = 3", 'models = { chat = "x" }', "[[models]]"):
        assert "must be a table" in complaint(wrong).message


def test_s01_an_open_address_without_keys_is_refused_with_the_two_ways_out(complaint: Complaint) -> None:
    for listen in ("0.0.0.0:80", "[::]:80", "192.168.1.5:80", "toque.example:80"):
        error = complaint(f'listen = "{listen}"')
        assert error.where == "toque.toml:1:1"
        assert "without keys" in error.message
        assert 'listen = "127.0.0.1:80"' in error.fix
        assert "toque key create" in error.fix


def test_metrics_and_admin_stay_on_this_machine(complaint: Complaint) -> None:
    error = complaint(f'admin_listen = "0.0.0.0:1"\n[keys.a]\nsha256 = "{KEY}"')
    assert (error.where, "not a loopback address" in error.message) == ("toque.toml:1:1", True)


@pytest.mark.parametrize(
    "wrong",
    [
        'key = "sk-canary"',
        'key = ["sk-canary"]',
        'kay = "sk-canary"',
        'source = "x"\nkey = "sk-canary"',
        "key = sk-canary",
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(complaint: Complaint, wrong: str) -> None:
    error = complaint(f'[models.a]\nagent = "openai"\nurl = "http://h/v1"\n{wrong}\n')
    assert "canary" not in f"{error.message} {error.fix} {error.where}"


def test_a_wrong_variable_and_a_wrong_flag_are_named_themselves(example: Path) -> None:
    with pytest.raises(ConfigError, match="must be a whole number") as caught:
        read_config(example, {"TOQUE_LIMITS_CONNECTIONS_MAX": "many"}, {})
    assert caught.value.where == "TOQUE_LIMITS_CONNECTIONS_MAX"
    with pytest.raises(ConfigError, match="without keys") as caught:
        read_config(example, {}, {"--listen": "0.0.0.0:80"})
    assert caught.value.where == "--listen"


def test_files_that_are_no_settings_are_told_at_once(tmp_path: Path, complaint: Complaint) -> None:
    path = tmp_path / "toque.toml"
    for content, reason in ((b"a = 1\n\xff\xfe", "not UTF-8"), (b"#" * (2**20 + 1), "larger than 1 MiB")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=reason):
            read_config(path, {}, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "missing.toml", {}, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path, {}, {})
    assert "Not valid TOML" in complaint("a = " + "[" * 5000).message


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("[]{}=\"'.,#\n abmodelschatslots012"), max_size=80))
def test_any_text_is_either_settings_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text)
    with suppress(ConfigError):
        read_config(path, {}, {})


def test_metrics_may_be_asked_from_elsewhere_at_an_address_of_their_own(complaint: Complaint) -> None:
    error = complaint('listen = "127.0.0.1:9000"\nmetrics_listen = "127.0.0.1:9000"\n')
    assert (error.where, error.message) == ("toque.toml:2:1", "metrics_listen is the same as listen.")
