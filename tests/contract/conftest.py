"""Every agent of ours as the contract sees it: something that answers, and a way to ask its engine what it decoded."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.children import Replica, running
from tests.cluster.place import Cluster, namespace
from tests.cluster.served import pods, served, settings
from tests.images.building import Image, container
from toque.agents import agent_kind
from toque.agents.fake import FakeAgent
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.inference import Delta, PromptContext
from toque.model.spec import PoolSpec
from toque.ports import AgentKind, InferenceAgent
from toque.testing import FakeEngine

SLOTS = 4
FAKE_OPTIONS = {"tokens": 200, "token_gap_s": 0.005, "ttft_s": 0.01}


@dataclass(frozen=True)
class Engine:
    """What an engine says about itself: tokens decoded so far, and requests it works on."""

    tokens_decoded: Callable[[], Awaitable[float]]
    in_flight: Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Subject:
    """An agent under contract."""

    agent: InferenceAgent
    engine: Engine
    calls_tools: bool = True


def no_secret(reference: str) -> Secret:
    raise AssertionError(f"Nobody should ask for {reference}.")


def model_of(spec: AgentSpec) -> ModelSpec:
    return ModelSpec(PoolSpec("chat", slots=SLOTS), spec)


@pytest.fixture(scope="session")
def llama_replica(embedded_model: Path) -> Iterator[Replica]:
    model = model_of(AgentSpec(source=str(embedded_model), threads=1))
    with running(agent_kind("llama.cpp", no_secret), model) as replica:
        yield replica


@pytest.fixture(scope="session")
def fake_replica() -> Iterator[Replica]:
    model = model_of(AgentSpec(agent="fake", options=FAKE_OPTIONS))
    with running(agent_kind("fake", no_secret), model) as replica:
        yield replica


@pytest.fixture(scope="session")
def image_replica(image: Image) -> Iterator[Replica]:
    """A replica out of its image, run by podman."""
    with container(image.folder) as replica:
        yield replica


@pytest.fixture(scope="session")
def pod_replica(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that the driver kubernetes made a Pod of a real control plane."""
    options = ", ".join(f"{name} = {value}" for name, value in FAKE_OPTIONS.items())
    with namespace(cluster) as place:
        text = settings(place, slots=SLOTS, options=options)
        with served(tmp_path_factory.mktemp("pod"), text) as service:
            (pod,), (secret,) = pods(place), place.api.list("secrets", "toque.dev/fleet=toque")
            key = Secret(base64.b64decode(secret["data"]["secret"]).decode())
            yield Replica(Endpoint(pod["status"]["podIP"], 8080, key=key), service.process)


AS_A_POD = pytest.param("pod", marks=[pytest.mark.slow, pytest.mark.xdist_group("cluster")])
IN_A_CONTAINER = pytest.param(
    "image: llama.cpp", marks=[pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("image")]
)


@pytest.fixture(
    params=[
        "fake",
        "openai on fake",
        "openai on the fake engine",
        "llama.cpp",
        "openai on llama.cpp",
        AS_A_POD,
        IN_A_CONTAINER,
    ]
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    name = request.param
    if name == "fake":
        yield in_process()
        return
    if name.endswith("engine"):
        async with FakeEngine(agent=FakeAgent(**FAKE_OPTIONS)) as fake, over_url(fake.url) as agent:
            yield Subject(agent, scripted_engine(fake))
        return
    is_llama = name.endswith("llama.cpp")
    place = name.partition(":")[0] if name.startswith(("image", "pod")) else "llama" if is_llama else "fake"
    replica: Replica = request.getfixturevalue(f"{place}_replica")
    engine = llama_engine(replica) if is_llama else host_engine(replica)
    async with connected(replica, is_over_url=name.startswith(("openai", "pod"))) as agent:
        # The template of the small model has no place for tools, and llama.cpp then leaves them out in silence.
        yield Subject(agent, engine, calls_tools=not is_llama)


class CountedFake(FakeAgent):
    """Knows how many requests it works on, as a host would."""

    in_flight = 0

    async def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        self.in_flight += 1
        try:
            async with aclosing(super().stream(context)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self.in_flight -= 1


def in_process() -> Subject:
    fake = CountedFake(**FAKE_OPTIONS)

    async def tokens_decoded() -> float:
        return fake.tokens_decoded

    async def in_flight() -> float:
        return fake.in_flight

    return Subject(fake, Engine(tokens_decoded, in_flight))


@asynccontextmanager
async def connected(replica: Replica, *, is_over_url: bool) -> AsyncIterator[InferenceAgent]:
    """The contract over a replica: by its own kind, or as over any OpenAI-compatible URL."""
    endpoint, key = replica.endpoint, replica.endpoint.key
    assert key is not None
    if is_over_url:
        async with over_url(f"http://{endpoint.host}:{endpoint.port}/v1", key) as agent:
            yield agent
        return
    own = agent_kind("llama.cpp", no_secret).connect(endpoint, model_of(AgentSpec()))
    try:
        yield own
    finally:
        await own.close()


@asynccontextmanager
async def over_url(url: str, key: Secret | None = None) -> AsyncIterator[InferenceAgent]:
    kind: AgentKind = agent_kind("openai", no_secret if key is None else lambda _: key)
    spec = AgentSpec(agent="openai", url=url, key="env:KEY" if key else "")
    located = kind.endpoint(spec)
    assert located is not None
    agent = kind.connect(located, model_of(spec))
    try:
        yield agent
    finally:
        await agent.close()


def scripted_engine(fake: FakeEngine) -> Engine:
    async def tokens_decoded() -> float:
        return fake.agent.tokens_decoded

    async def in_flight() -> float:
        return fake.in_flight

    return Engine(tokens_decoded, in_flight)


def host_engine(replica: Replica) -> Engine:
    return Engine(
        metric(replica, "toque_agent_tokens_decoded_total"),
        metric(replica, "toque_agent_requests_in_flight"),
    )


def llama_engine(replica: Replica) -> Engine:
    return Engine(
        metric(replica, "llamacpp:tokens_predicted_total"),
        metric(replica, "llamacpp:requests_processing"),
    )


def metric(replica: Replica, name: str) -> Callable[[], Awaitable[float]]:
    return lambda: asyncio.to_thread(replica.metric, name)
