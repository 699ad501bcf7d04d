"""The host: a class of somebody's own becomes a replica, locked, counted and ended like any other."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.children import Replica, Told, last_told, launched, running
from toque.agents import agent_kind
from toque.agents.answer_body import AnswerError
from toque.agents.python import PythonKind
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError, ConfigError, UpstreamError
from toque.model.inference import Completion, Delta, FinishReason, Message, PromptContext, SamplingParameters, Usage
from toque.model.spec import PoolSpec
from toque.ports import AgentKind, ReplicaAgent

PARROT = '''
"""A class of somebody's own, as docs/add-an-agent.md describes it."""

import asyncio
from pathlib import Path

from toque.model.errors import UpstreamError
from toque.model.inference import Completion, Delta, FinishReason, Usage


class Parrot:
    def __init__(self, *, tail="!", trace=""):
        self._tail, self._trace, self._may_end = tail, trace, asyncio.Event()

    async def open(self):
        self._note("opened")

    async def close(self):
        self._note("closed")

    async def generate(self, context):
        said = context.messages[-1].content
        if said == "break":
            raise ValueError("a bug of the parrot")
        if said == "think":
            await asyncio.Event().wait()
        if said == "how long":
            said = str(context.timeout_s)
        top_k = context.sampling.extra.get("top_k", "")
        return Completion(f"{said}{self._tail}{top_k}", FinishReason.STOP, Usage(1, 2))

    async def stream(self, context):
        said = context.messages[-1].content
        if said == "think":
            await asyncio.Event().wait()
        if said == "early":
            raise UpstreamError("no engine")
        yield Delta(said)
        if said == "late":
            raise UpstreamError("engine lost")
        if said == "break":
            raise ValueError("a bug of the parrot")
        if said == "hold":
            self._note("held")
            await asyncio.to_thread(Path(f"{self._trace}.gate").read_text)
        yield Delta(self._tail)
        yield Delta(finish_reason=FinishReason.STOP, usage=Usage(1, 2))

    def _note(self, what):
        if self._trace:
            with Path(self._trace).open("a") as file:
                print(what, file=file)
'''
KIND = PythonKind("parrot:Parrot")


def model_of(**options: str) -> ModelSpec:
    return ModelSpec(PoolSpec("polly"), AgentSpec(agent="parrot:Parrot", options=options))


def say(text: str, **extra: int) -> PromptContext:
    return PromptContext(messages=[Message("user", text)], sampling=SamplingParameters(extra=extra))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, with a module in it."""
    path = tmp_path_factory.mktemp("own")
    (path / "parrot.py").write_text(PARROT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


@pytest.fixture(scope="module")
def replica(folder: Path) -> Iterator[Replica]:
    with running(KIND, model_of(trace=str(folder / "trace"))) as replica:
        yield replica


@pytest.fixture
async def agent(replica: Replica) -> ReplicaAgent:
    return KIND.connect(replica.endpoint, model_of())


async def stream_of(agent: ReplicaAgent, text: str) -> list[Delta]:
    try:
        return [delta async for delta in agent.stream(say(text))]
    finally:
        await agent.close()


async def test_a_class_of_ones_own_answers(replica: Replica, agent: ReplicaAgent) -> None:
    assert await stream_of(agent, "Hello") == [
        Delta("Hello"),
        Delta("!"),
        Delta("", FinishReason.STOP, Usage(1, 2), ()),
    ]
    assert await agent.generate(say("Hi")) == Completion("Hi!", FinishReason.STOP, Usage(1, 2), ())
    await agent.close()


async def post(
    replica: Replica, path: str, body: bytes, secret: str | None = None, timeout_ms: str = ""
) -> tuple[int, str]:
    def call() -> tuple[int, str]:
        key = replica.endpoint.key
        assert key is not None
        connection = HTTPConnection(replica.endpoint.host, replica.endpoint.port, timeout=5)
        authorization = f"Bearer {key.reveal() if secret is None else secret}"
        fields = {"authorization": authorization, "content-type": "application/json"}
        connection.request("POST", path, body, fields | ({"x-toque-timeout-ms": timeout_ms} if timeout_ms else {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return await asyncio.to_thread(call)


async def test_fields_that_the_api_does_not_know_reach_the_class(replica: Replica) -> None:
    body = b'{"messages":[{"role":"user","content":"Hi"}],"top_k":7}'
    status, text = await post(replica, "/v1/chat/completions", body)
    assert status == 200
    assert '"content":"Hi!7"' in text
    assert '"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}' in text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health", "/metrics", "/nowhere"])
@pytest.mark.parametrize("secret", ["", "wrong", "wr\u00f6ng"])
async def test_nothing_is_answered_without_the_secret(replica: Replica, path: str, secret: str) -> None:
    status, text = await post(replica, path, b"{}", secret)
    assert status == 401
    assert "polly" not in text


async def test_it_tells_its_model_its_health_and_its_counters(replica: Replica) -> None:
    assert '"id":"polly"' in await asyncio.to_thread(replica.page, "/v1/models")
    assert '"ok"' in await asyncio.to_thread(replica.page, "/health")
    before = await asyncio.to_thread(replica.metric, "toque_agent_tokens_decoded_total")
    await post(replica, "/v1/chat/completions", b'{"messages":[{"role":"user","content":"Hi"}]}')
    assert await asyncio.to_thread(replica.metric, "toque_agent_tokens_decoded_total") == before + 2
    assert await asyncio.to_thread(replica.metric, "toque_agent_requests_in_flight") == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "invalid_json"),
        (b"[]", "invalid_value"),
        (b"[" * 100_000, "invalid_value"),
        (b"{}", "invalid_value"),
        (b'{"messages":[{"content":"no role"}]}', "invalid_value"),
        (b'{"messages":[{"role":"user","content":7}]}', "invalid_value"),
        (b'{"messages":[{"role":"user","content":"x"}],"n":2}', "invalid_value"),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":0}', "invalid_value"),
        (b'{"prompt":["a","b"]}', "invalid_value"),
    ],
)
async def test_a_body_that_is_no_request_is_the_callers_fault(replica: Replica, body: bytes, code: str) -> None:
    status, text = await post(replica, "/v1/chat/completions", body)
    assert status == 400
    assert f'"code":"{code}"' in text


async def test_an_engine_that_fails_before_the_first_piece_has_a_status(agent: ReplicaAgent) -> None:
    with pytest.raises(AnswerError, match="status 502"):
        await stream_of(agent, "early")


@pytest.mark.parametrize("text", ["late", "break"])
async def test_an_engine_that_fails_later_ends_the_stream_as_a_failure(agent: ReplicaAgent, text: str) -> None:
    with pytest.raises(UpstreamError):
        await stream_of(agent, text)


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_c11_what_nobody_waits_for_any_more_is_cancelled(replica: Replica, stream: str) -> None:
    body = b'{"messages":[{"role":"user","content":"think"}],"stream":%b}' % stream.encode()
    status, text = await post(replica, "/v1/chat/completions", body, timeout_ms="100")
    assert (status, json.loads(text)["error"]["code"]) == (504, "deadline_exceeded")


async def test_a_class_learns_how_long_it_is_waited_for(replica: Replica) -> None:
    body = b'{"messages":[{"role":"user","content":"how long"}]}'
    for said, heard in (("1500", "1.5"), ("soon", "600.0"), ("", "600.0")):
        _, text = await post(replica, "/v1/chat/completions", body, timeout_ms=said)
        assert f'"content":"{heard}' in text


async def test_a_bug_of_the_class_is_told_by_its_kind_and_ends_nothing(replica: Replica) -> None:
    body = b'{"messages":[{"role":"user","content":"break"}]}'
    status, text = await post(replica, "/v1/chat/completions", body)
    assert status == 500
    assert "ValueError" in text
    assert "a bug of the parrot" not in text
    assert replica.process.poll() is None


async def test_a_class_that_cannot_embed_has_no_such_route(agent: ReplicaAgent) -> None:
    with pytest.raises(CallerError) as raised:
        await agent.embed(["a"])  # type: ignore[attr-defined]
    assert raised.value.status == 404
    await agent.close()


async def refused(endpoint: Endpoint) -> None:
    """Return once nobody new is let in."""
    with contextlib.suppress(ConnectionError):
        while True:
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            writer.close()
            await writer.wait_closed()


async def test_sigterm_lets_the_answer_under_way_finish_and_closes_the_agent(folder: Path) -> None:
    trace, gate = folder / "last", folder / "last.gate"
    os.mkfifo(gate)
    with running(KIND, model_of(trace=str(trace))) as replica:
        agent = KIND.connect(replica.endpoint, model_of())
        asking = asyncio.ensure_future(stream_of(agent, "hold"))
        while "held" not in trace.read_text():
            await asyncio.sleep(0)
        replica.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await refused(replica.endpoint)
        await asyncio.to_thread(gate.write_text, "")  # lets the parrot say the rest
        assert (await asking)[-1].finish_reason is FinishReason.STOP
        assert await asyncio.to_thread(replica.process.wait, 10) == 0
    assert trace.read_text().split() == ["opened", "held", "closed"]


@pytest.mark.parametrize(
    ("class_path", "options", "reason"),
    [
        ("nowhere:Parrot", {}, "nowhere"),
        ("parrot:Owl", {}, "Owl"),
        ("parrot:Parrot", {"colour": "red"}, "colour"),
        ("toque.agents.fake:FakeAgent", {"tokens": -1}, "tokens"),
    ],
)
def test_a_class_that_cannot_be_made_is_told_with_its_reason(
    folder: Path, class_path: str, options: dict[str, str | int], reason: str
) -> None:
    model = ModelSpec(PoolSpec("polly"), AgentSpec(options=options))
    with launched(PythonKind(class_path).launch(model, Secret("s"))) as (process, status):
        told: Told = last_told(status, process)
        assert told.phase == "failed"
        assert reason in told.reason
        assert process.wait(10) == 1


def test_the_secret_is_not_in_argv() -> None:
    launch = KIND.launch(model_of(), Secret("sk-CANARY"))
    assert "sk-CANARY" not in repr(launch)


def test_the_check_finds_a_module_without_importing_it(folder: Path) -> None:
    (folder / "burning.py").write_text("raise SystemExit('imported')")
    (folder / "nest").mkdir()
    (folder / "nest" / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "nest" / "egg.py").touch()
    for found in ("parrot:Parrot", "burning:Any", "nest.egg:Any"):
        PythonKind(found).check(AgentSpec())


@pytest.mark.parametrize(
    "missing",
    ["nowhere:Any", "parrot.wing:Any", "nest.stone:Any", "parrot:", "parrot:a.b", ":Any", "a b:Any", "../x:Any"],
)
def test_the_check_says_what_is_not_there(folder: Path, missing: str) -> None:
    with pytest.raises(ConfigError):
        PythonKind(missing).check(AgentSpec())


def no_secret(reference: str) -> Secret:
    raise AssertionError(reference)


def test_the_table_knows_its_kinds_and_any_class() -> None:
    kinds: list[AgentKind] = [agent_kind(name, no_secret) for name in ("llama.cpp", "openai", "fake", "parrot:Parrot")]
    assert [type(kind).__name__ for kind in kinds] == ["LlamaCpp", "OpenAIKind", "FakeKind", "PythonKind"]


@pytest.mark.parametrize(("name", "fix"), [("lama.cpp", "llama.cpp"), ("zzz", "package.module:Class")])
def test_a_name_that_nobody_has_is_answered_with_the_nearest(name: str, fix: str) -> None:
    with pytest.raises(ConfigError) as raised:
        agent_kind(name, no_secret)
    assert fix in raised.value.fix
