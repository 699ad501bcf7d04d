"""What the shell needs from the world, as protocols. Whoever implements one imports this page, never the core.

Law: a driver's and an agent's methods return at once or are `async`; none blocks the event loop.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.inference import Completion, Delta, PromptContext
from toque.model.messages import Effect, Event
from toque.model.usage import Use

Report: TypeAlias = Callable[[Event], None]
"""How a driver tells what became of an order: called on the event loop, any number of times, in order."""


class InferenceAgent(Protocol):
    """The contract between an application and a model.

    Cancelling the task that awaits `generate`, or closing the iterator of `stream`, closes the upstream call and stops
    its decoding. Raises `CallerError` for what the model cannot do, `UpstreamError` when the model fails, and
    `RefusedError` when the fleet has no room.
    """

    async def generate(self, context: PromptContext) -> Completion:
        """Answer in one piece."""
        ...

    def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        """Answer piece by piece; the last delta carries the finish reason and the usage. Closing it cancels."""
        ...


class ReplicaAgent(InferenceAgent, Protocol):
    """The contract over one replica, with the connections it keeps to it."""

    async def close(self) -> None:
        """End all connections; calls under way raise `UpstreamError`."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """A child process to run: an argument list (never a shell line) and what is added to its minimal environment.

    The child's own secret, which it expects as a bearer token, is in `environment`: never in argv, never printed.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


CHILD_SECRET = "TOQUE_SECRET"  # noqa: S105 - a name, not a secret
CHILD_STATUS_FD = "TOQUE_STATUS_FD"
CHILD_PARENT_PID = "TOQUE_PARENT_PID"
"""Environment of every child: its secret, the pipe it tells its phases on (JSON lines), and whose child it is."""
CHILD_LISTEN = "TOQUE_REPLICA_LISTEN"
"""Environment of a replica that stands alone, in a container say: instead of a parent, HOST:PORT that it listens on."""
CHILD_METRICS = "TOQUE_REPLICA_METRICS"
"""The same: HOST:PORT where it tells its load without its secret. Not there: nowhere."""
REPLICA_SECRET = "TOQUE_REPLICA_SECRET"  # noqa: S105 - a name, not a secret
REPLICA_SETTINGS = "TOQUE_REPLICA_SETTINGS"
"""Environment of `toque replica`: what its callers must send, and the text of its settings where it has no file of them."""
MODELS_DIR = "/models"
"""Where a model's file is in an image that `toque image build` made, or on the volume that is mounted there."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a model's replicas understand: which paths, and which request fields besides the common ones.

    `routes` are path ends such as `/chat/completions`. `fields` are the request fields that may reach the replica; all
    others are dropped. `model` replaces the `model` of a request (empty: passed on as it is).
    `streams_only`: plain answers are asked for as streams and put together, because only then does the engine notice a
    client that leaves. `addresses`: requests may name addresses for the replica to fetch.
    `names_itself`: every answer carries the model's own name, so one that carries another is a stranger's.
    """

    routes: frozenset[str]
    fields: frozenset[str]
    model: str = ""
    streams_only: bool = False
    addresses: bool = False
    names_itself: bool = False


class AgentKind(Protocol):
    """One kind of agent: how it is launched, what it understands, and how to talk to one replica of it."""

    def launch(self, model: ModelSpec, secret: Secret) -> Launch | None:
        """Say how to run a replica here, or None where replicas run elsewhere (a hosted API).

        Takes the whole model: an engine needs the pool's slots to size its memory.
        """
        ...

    def endpoint(self, spec: AgentSpec) -> Endpoint | None:
        """Say where the replica is when it runs elsewhere. Raises `ConfigError` for a bad URL or key reference."""
        ...

    def dialect(self, spec: AgentSpec) -> Dialect:
        """Say what its replicas understand."""
        ...

    def connect(self, endpoint: Endpoint, model: ModelSpec) -> ReplicaAgent:
        """Return the contract over one replica; it opens connections only when used. Whoever connects closes it."""
        ...

    def check(self, spec: AgentSpec) -> None:
        """Look at the files and settings without starting anything. Raises `ConfigError` naming path and reason."""
        ...


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What a driver knows of a replica beyond its state: for `toque ps`, never for decisions.

    `name` is what it is called where it runs. `phases`: steps of its cold start with their seconds since it was ordered, in order.
    `delay` is what a start waits for, in a sentence.
    """

    pid: int = 0
    progress_ratio: float = 0.0
    memory_bytes: int = 0
    last_lines: tuple[str, ...] = field(default=())
    name: str = ""
    phases: tuple[tuple[str, float], ...] = field(default=())
    delay: str = ""


class Driver(Protocol):
    """Where replicas run. `start`, `stop` and `probe` return at once; `Report` tells what came of them.

    A start is reported as ReplicaSpawned, ReplicaLoaded, ReplicaReady or ReplicaFailed at any point; a stop as
    ReplicaStopped (also when the replica died meanwhile); a death nobody ordered as ReplicaFailed; a probe as
    ReplicaHealthy or ReplicaFailed, or as ReplicaUnreachable by a driver that cannot start it anew. After ReplicaFailed and ReplicaStopped nothing of the replica is left.
    """

    def start(self, replica_id: int, model: ModelSpec) -> None:
        """Begin to start a replica."""
        ...

    def stop(self, replica_id: int) -> None:
        """Begin to end a replica: asked first, forced after a grace."""
        ...

    def probe(self, replica_id: int) -> None:
        """Find out now whether the replica is alive."""
        ...

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached; None before it is ready and after it is gone."""
        ...

    def is_ours(self, replica_id: int) -> bool:
        """Say whether the process behind the endpoint is still the one we started (asked after each connect)."""
        ...

    def status(self, replica_id: int) -> ReplicaStatus:
        """What is known for display; empty when the replica is unknown."""
        ...

    async def close(self) -> None:
        """End every replica and wait until nothing is left."""
        ...


class Watcher(Protocol):
    """Follows replicas, off the hot path: the ledger of cold starts, the progress shown while a model loads."""

    def ordered(self, pool: str, replica_id: int, now: float) -> None:
        """A replica of this pool was ordered from its driver."""
        ...

    def reported(self, event: Event, now: float) -> None:
        """A driver reported what became of one."""
        ...


class PressureSensor(Protocol):
    """Measures this process."""

    def measure(self) -> tuple[float, float]:
        """Return its memory and its open files, each as a share of what it may have. Returns at once."""
        ...


class Journal(Protocol):
    """Where each step of the core is kept."""

    def record(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Keep one step. Cheap: it is on the hot path."""
        ...


class UsageStore(Protocol):
    """Where it is kept what tenants use in a day: for this gateway, and perhaps for others too. It blocks."""

    def add(self, day: int, uses: Mapping[str, Use]) -> Mapping[str, Use]:
        """Add what was used on a day (counted since 1970), and return what was used on it in all, by tenant.

        Raises `OSError` when it cannot be kept; then nothing was added.
        """
        ...
