"""Agent llama.cpp: what is launched, what requests may set, and what a check tells."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents.test_gguf import WHOLE
from toque.agents import embedded
from toque.agents.llama_cpp import LlamaCpp
from toque.agents.llama_cpp_server import EngineSettings, read_ahead
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import ConfigError, UpstreamError
from toque.model.inference import Message, PromptContext, SamplingParameters
from toque.model.spec import PoolSpec

StandIn = Callable[..., "Engine"]
CANARY = "sk-CANARY-of-a-child"


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "$(id); model.gguf"
    path.write_bytes(WHOLE)
    return str(path)


def test_s07_a_path_that_looks_like_a_command_stays_one_argument(source: str) -> None:
    launch = LlamaCpp().launch(ModelSpec(PoolSpec("chat"), AgentSpec(source=source)), Secret(CANARY))
    assert launch.argv[:4] == (sys.executable, "-P", "-m", "toque.agents.llama_cpp_server")
    assert json.loads(launch.argv[4])["path"] == source


def test_s11_the_secret_is_in_the_environment_and_nowhere_else(source: str) -> None:
    launch = LlamaCpp().launch(ModelSpec(PoolSpec("chat"), AgentSpec(source=source)), Secret(CANARY))
    assert launch.environment == {"TOQUE_SECRET": CANARY}
    assert CANARY not in repr(launch)
    assert CANARY not in " ".join(launch.argv)


def test_the_pools_slots_and_the_models_settings_size_the_engine(source: str) -> None:
    spec = AgentSpec(source=source, context_tokens=512, threads=2)
    launch = LlamaCpp().launch(ModelSpec(PoolSpec("chat", slots=3), spec), Secret(CANARY))
    told = EngineSettings(**json.loads(launch.argv[4]))
    assert (told.alias, told.slots, told.context_tokens, told.threads) == ("chat", 3, 512, 2)


@pytest.mark.parametrize("field", ["n_discard", "id_slot", "slot_id", "grammar", "lora", "cache_prompt", "n_predict"])
def test_h09_fields_of_the_engines_own_do_not_reach_it(field: str) -> None:
    assert field not in LlamaCpp().dialect(AgentSpec()).fields


def test_sampling_fields_reach_the_engine_and_so_does_what_the_settings_name() -> None:
    fields = LlamaCpp().dialect(AgentSpec(fields=("mirostat",))).fields
    assert {"messages", "temperature", "top_k", "min_p", "repeat_penalty", "typical_p", "mirostat"} <= fields


def test_embeddings_are_a_route_only_where_they_are_switched_on() -> None:
    assert "/embeddings" not in LlamaCpp().dialect(AgentSpec()).routes
    assert "/embeddings" in LlamaCpp().dialect(AgentSpec(embeddings=True)).routes


def test_r09_a_check_names_path_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE[:-1])
    with pytest.raises(ConfigError, match=rf"{path}: the file is truncated: 1 bytes of its tensors are missing\."):
        LlamaCpp().check(AgentSpec(source=str(path)))


def test_a_check_passes_for_a_sound_file_and_for_the_model_that_comes_along(source: str) -> None:
    LlamaCpp().check(AgentSpec(source=source))
    LlamaCpp().check(AgentSpec(source="embedded"))


def test_a_check_refuses_options_and_a_missing_source() -> None:
    with pytest.raises(ConfigError, match="needs a model"):
        LlamaCpp().check(AgentSpec())
    with pytest.raises(ConfigError, match="knows no option colour"):
        LlamaCpp().check(AgentSpec(source="embedded", options={"colour": "red"}))


def test_a_launch_without_its_file_is_refused_at_once(tmp_path: Path) -> None:
    model = ModelSpec(PoolSpec("chat"), AgentSpec(source=str(tmp_path / "none.gguf")))
    with pytest.raises(ConfigError, match="there is no such file"):
        LlamaCpp().launch(model, Secret(CANARY))


def test_reading_ahead_tells_growing_shares_and_ends_with_the_whole(tmp_path: Path) -> None:
    path, told = tmp_path / "large", list[float]()
    with path.open("wb") as file:
        file.truncate(20 * 2**20)
    read_ahead(path, told.append)
    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == 1.0


def test_reading_ahead_leaves_a_missing_file_to_the_engine(tmp_path: Path) -> None:
    read_ahead(tmp_path / "none", lambda _: pytest.fail("nothing was read"))


STAND_IN = """
from unittest.mock import MagicMock as CommonParams
class Server:
    listening_address = "http://127.0.0.1:12345"
    def __init__(self, parameters):
        {opening}
    def handle_completions(self, body):
        {warm_up}
"""


class Engine:
    """The engine, or a stand-in for it, as a driver would run it."""

    def __init__(self, source: str, *, embeddings: bool = True, path: str = "") -> None:
        spec = AgentSpec(source=source, threads=1, context_tokens=512, embeddings=embeddings)
        launch = LlamaCpp().launch(ModelSpec(PoolSpec("chat", slots=1), spec), Secret(CANARY))
        told, tells = os.pipe()
        wiring = {"TOQUE_STATUS_FD": str(tells), "TOQUE_PARENT_PID": str(os.getpid())}
        code = {"PYTHONPATH": os.pathsep.join(filter(None, [path, *sys.path]))}
        environment = {**os.environ, **launch.environment, **wiring, **code}
        self.process = subprocess.Popen(launch.argv, env=environment, pass_fds=(tells,), start_new_session=True)
        os.close(tells)
        self._status = os.fdopen(told)

    def until(self, phase: str) -> tuple[list[str], dict[str, object]]:
        """Read on to a phase; return all phases on the way, and its line."""
        passed = []
        for line in self._status:
            status = json.loads(line)
            passed.append(status["phase"])
            if status["phase"] == phase:
                return passed, status
        raise AssertionError(passed)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._status.close()


@pytest.fixture
def stand_in(source: str, tmp_path: Path) -> Iterator[StandIn]:
    made: list[Engine] = []

    def begin(opening: str = "pass", warm_up: str = "pass") -> Engine:
        (tmp_path / "xllamacpp.py").write_text(STAND_IN.format(opening=opening, warm_up=warm_up))
        made.append(Engine(source, embeddings=False, path=str(tmp_path)))
        return made[-1]

    yield begin
    for engine in made:
        engine.close()


def test_the_engines_phases_and_port_are_told_in_order_and_sigterm_ends_it_well(stand_in: StandIn) -> None:
    engine = stand_in()
    passed, ready = engine.until("ready")
    assert passed == ["spawned", "loading", "loaded", "ready"]
    assert ready["port"] == 12345
    engine.process.terminate()
    assert engine.process.wait(10) == 0


def test_sigterm_ends_an_engine_that_still_loads_at_once(stand_in: StandIn) -> None:
    engine = stand_in(opening="import signal; signal.pause()")
    engine.until("loading")
    engine.process.terminate()
    assert engine.process.wait(10) == -signal.SIGTERM


def test_an_engine_that_cannot_warm_up_ends_instead_of_hanging(stand_in: StandIn) -> None:
    engine = stand_in(warm_up="raise ValueError('no tokenizer')")
    engine.until("loaded")
    assert engine.process.wait(10) == 1


def test_an_engine_that_refuses_a_sound_file_points_to_its_own_words(stand_in: StandIn) -> None:
    engine = stand_in(opening="raise RuntimeError('no')")
    _, failed = engine.until("failed")
    assert "the engine cannot load this model (see its last lines)" in str(failed["reason"])
    assert engine.process.wait(10) == 1


@pytest.fixture
def engine(embedded_model: Path) -> Iterator[Engine]:
    made = Engine(str(embedded_model))
    yield made
    made.close()


@pytest.mark.slow
async def test_the_real_engine_loads_warms_up_answers_and_ends_at_sigterm(engine: Engine) -> None:
    passed, ready = engine.until("ready")
    assert [passed[0], *passed[-2:]] == ["spawned", "loaded", "ready"]
    assert "loading" in passed
    port = ready["port"]
    assert isinstance(port, int)
    context = PromptContext(
        [Message("system", "You are a helpful assistant."), Message("user", "What is the capital of France?")],
        sampling=SamplingParameters(temperature=0.0, max_tokens=12),
    )
    model = ModelSpec(PoolSpec("chat"), AgentSpec())
    agent = LlamaCpp().connect(Endpoint("127.0.0.1", port, key=Secret(CANARY)), model)
    stranger = LlamaCpp().connect(Endpoint("127.0.0.1", port, key=Secret("a guess")), model)
    try:
        assert "Paris" in (await agent.generate(context)).text
        with pytest.raises(UpstreamError, match="does not accept the key"):
            await stranger.generate(context)
    finally:
        await agent.close()
        await stranger.close()
    engine.process.terminate()
    assert engine.process.wait(10) == 0


@pytest.mark.slow
def test_r09_the_real_engine_says_why_it_cannot_load_a_truncated_file(embedded_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "truncated.gguf"
    with embedded_model.open("rb") as whole:
        path.write_bytes(whole.read(embedded.FILE_BYTES // 2))
    engine = Engine(str(path))
    try:
        _, failed = engine.until("failed")
        assert "the file is truncated" in str(failed["reason"])
        assert str(path) in str(failed["reason"])
        assert engine.process.wait(10) == 1
    finally:
        engine.close()
