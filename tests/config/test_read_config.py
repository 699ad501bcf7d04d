"""Stories of reading settings: what is taken from where, and what it becomes."""

from dataclasses import asdict
from pathlib import Path

import pytest

from toque.config.read import find_config, read_config
from toque.config.shape import SERVICE
from toque.config.show import shown
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.spec import ReplicaBounds, ScalingSpec


def test_the_documented_example_becomes_two_models(example: Path) -> None:
    chat, hosted = read_config(example, {}, {}).models
    assert (chat.pool.name, chat.pool.slots, chat.pool.elastic) == ("chat", 2, True)
    assert chat.pool.replicas == ReplicaBounds(minimum_warm=1, maximum=4, idle_to_zero_s=600.0)
    assert chat.pool.scaling == ScalingSpec(policy="concurrency", target=1.5)
    assert (hosted.agent.agent, hosted.agent.url) == ("openai", "https://api.example.com/v1")
    assert (hosted.agent.key, hosted.pool.slots, hosted.pool.elastic) == ("env:EXAMPLE_KEY", 64, False)


def test_without_anything_the_embedded_model_is_served_as_chat() -> None:
    spec = read_config(None, {}, {})
    (chat,) = spec.models
    assert (chat.pool.name, chat.agent.source, chat.pool.slots) == ("chat", "embedded", 2)
    assert (chat.pool.replicas.minimum_warm, chat.pool.replicas.maximum) == (1, 4)
    assert spec.origins["models.chat.source"] == "assumed"
    assert spec.listen == "127.0.0.1:8080"


def test_a_source_on_the_command_line_replaces_the_models_of_the_file(example: Path) -> None:
    spec = read_config(example, {}, {"SOURCE": "./other.gguf"})
    assert [(model.pool.name, model.agent.source) for model in spec.models] == [("chat", "./other.gguf")]
    assert spec.origins["models.chat.source"] == "SOURCE"
    (named,) = read_config(None, {}, {"SOURCE": "./other.gguf", "--model-name": "smol"}).models
    assert named.pool.name == "smol"


def test_paths_count_from_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(
        '[models.chat]\nsource = "./model.gguf"\n[models.api]\nagent = "openai"\nurl = "http://h/v1"\nkey = "file:key"\n'
        '[records]\njournal = "j.jsonl"\naccess_log = "-"\n'
    )
    spec = read_config(path, {}, {})
    assert spec.models[0].agent.source == str(tmp_path / "model.gguf")
    assert spec.models[1].agent.key == f"file:{tmp_path}/key"
    assert (spec.records.journal, spec.records.access_log) == (str(tmp_path / "j.jsonl"), "-")


def test_a_store_that_is_no_file_is_left_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    for text, meant in (
        ("jobs.sqlite", str(tmp_path / "jobs.sqlite")),
        ("off", "off"),
        ("env:JOBS", "env:JOBS"),
        ("file:url", f"file:{tmp_path}/url"),
        ("postgresql://ann@host/jobs", "postgresql://ann@host/jobs"),
    ):
        path.write_text(f'[models.chat]\nagent = "fake"\n[jobs]\nstore = "{text}"\n')
        assert read_config(path, {}, {}).jobs.store == meant


@pytest.mark.parametrize("url", ["postgresql://ann:sk-CANARY@h/jobs", "postgresql://ann@h/jobs?password=sk-CANARY"])
def test_s11_the_password_of_a_store_is_a_reference_and_never_printed(url: str) -> None:
    with pytest.raises(ConfigError, match="A password does not belong into settings") as refused:
        read_config(None, {"TOQUE_JOBS_STORE": url}, {"SOURCE": "x.gguf"})
    assert "sk-CANARY" not in f"{refused.value} {refused.value.fix}"
    with pytest.raises(ConfigError, match="neither a file nor a PostgreSQL server"):
        read_config(None, {"TOQUE_JOBS_STORE": "mysql://h/jobs"}, {"SOURCE": "x.gguf"})


def test_flag_beats_environment_beats_file_beats_default(example: Path) -> None:
    environment = {"TOQUE_LISTEN": "127.0.0.1:2", "TOQUE_LIMITS_CONNECT_S": "3"}
    spec = read_config(example, environment, {"--listen": "127.0.0.1:3"})
    assert (spec.listen, spec.limits.connect_s, spec.limits.ttft_s) == ("127.0.0.1:3", 3.0, 60.0)
    assert read_config(example, environment, {}).listen == "127.0.0.1:2"
    told = {name: spec.origins[name] for name in ("listen", "limits.connect_s", "models.chat.slots", "limits.ttft_s")}
    assert told == {
        "listen": "--listen",
        "limits.connect_s": "TOQUE_LIMITS_CONNECT_S",
        "models.chat.slots": f"{example}:6",
        "limits.ttft_s": "default",
    }


def test_every_setting_has_an_origin(example: Path) -> None:
    spec = read_config(example, {}, {})
    assert {".".join(path) for path, _ in SERVICE.settings()} <= set(spec.origins)


def test_variables_of_others_are_left_alone(example: Path) -> None:
    spec = read_config(example, {"TOQUE_PORT_8080_TCP": "tcp://10.0.0.1:8080", "TOQUE_SERVICE_HOST": "10.0.0.1"}, {})
    assert spec == read_config(example, {}, {})


@pytest.mark.parametrize(("text", "amount"), [("8GiB", 8 * 2**30), ("8G", 8 * 2**30), ("1.5GB", 15 * 10**8), ("7", 7)])
def test_sizes_may_be_written_with_their_unit(tmp_path: Path, text: str, amount: int) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'capacity = {{ memory = "{text}", cores = 4 }}')
    assert read_config(path, {}, {}).capacity == Resources(memory_bytes=amount, cores=4.0)


def test_keys_are_read_with_the_models_they_may_use(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(f'listen = "0.0.0.0:80"\n[keys.ann]\nsha256 = "{"a1" * 32}"\nmodels = ["chat"]\n')
    (key,) = read_config(path, {}, {}).keys
    assert (key.name, key.sha256, key.models, key.service_class) == ("ann", "a1" * 32, {"chat"}, "interactive")


def test_the_usual_file_is_found_only_where_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("", {}) is None
    Path("toque.toml").touch()
    assert find_config("", {}) == Path("toque.toml")
    assert find_config("", {"TOQUE_CONFIG": "a.toml"}) == Path("a.toml")
    assert find_config("b.toml", {"TOQUE_CONFIG": "a.toml"}) == Path("b.toml")


def test_a_specification_holds_plain_values_only(example: Path) -> None:
    assert asdict(read_config(example, {}, {}).models[0])["pool"]["queue"]["wait_s_max"] == 30.0


def test_every_setting_in_force_can_be_shown_with_its_origin(example: Path) -> None:
    spec = read_config(example, {}, {})
    told = {setting.name: setting for setting in shown(spec)}
    assert list(told) == list(spec.origins)
    assert (told["models.chat.queue.length_max"].value, told["listen"].value) == (256, "127.0.0.1:8080")
