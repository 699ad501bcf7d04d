"""What it takes to run and reach a model: the part of a model's settings that is not the core's business.

Law: secrets are references (`env:NAME`, `file:PATH`) until the moment they are used, and print as `***`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from toque.model.isolation_spec import FREE, IsolationSpec
from toque.model.pod_spec import NO_POD, PodSpec
from toque.model.setting import Setting, setting
from toque.model.spec import PoolSpec


class Secret:
    """A text that never prints. `reveal()` is called where it goes onto the wire, and nowhere else."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """How the agent of one model is made."""

    agent: str = setting(
        "llama.cpp",
        Setting(
            "What speaks to the model: an engine of ours, any OpenAI-compatible URL, a stand-in for tests, or your own.",
            choices=("llama.cpp", "openai", "fake"),
            pluggable=True,
        ),
    )
    source: str = setting(
        "", Setting("The model: a path to a .gguf file, or `embedded` for the one that comes along.", "path")
    )
    url: str = setting("", Setting("agent openai: the base URL up to and including /v1."))
    key: str = setting("", Setting("agent openai: where its key is, as env:NAME or file:PATH. Never the key itself."))
    upstream_model: str = setting("", Setting("The model's name at the upstream; empty: the same as here."))
    threads: int = setting(
        0, Setting("Processor threads of a replica (0: cores of the machine, shared among its replicas).", minimum=0)
    )
    context_tokens: int = setting(2048, Setting("Context of each slot; memory grows with it.", "tokens", minimum=64))
    embeddings: bool = setting(False, Setting("Also answer /v1/embeddings (llama.cpp: mean pooling)."))  # noqa: FBT003
    fields: tuple[str, ...] = setting(
        (), Setting("Further request fields to pass on to the replica; all other unknown fields are dropped.")
    )
    fetches_addresses: bool = setting(
        False,  # noqa: FBT003
        Setting(
            "Whether requests may name addresses (`image_url` with http:// or file://) for the engine or service to fetch. "
            "One inside your network would reach there what its callers cannot."
        ),
    )
    health_interval_s: float = setting(
        5.0, Setting("Time between health probes of a ready replica; three failures in a row end it.", "s", above=0)
    )
    options: Mapping[str, str | int | float | bool] = field(
        default_factory=dict,
        metadata={"setting": Setting("Settings of the agent itself; each agent's page lists its own.")},
    )


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One `[models.NAME]` table: its pool for the core, its agent for the shell, its isolation and its Pod for the driver."""

    pool: PoolSpec
    agent: AgentSpec
    isolation: IsolationSpec = FREE
    pod: PodSpec = NO_POD

    @property
    def runs_in_pod(self) -> bool:
        """Whether its files and its memory are on a machine of a cluster, not on this one: a Pod of ours, or given by a controller."""
        return self.pool.given or (self.pool.elastic and self.pool.hosted and bool(self.pod.image))
