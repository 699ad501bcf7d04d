"""Agent llama.cpp: a model file of ours, served by llama.cpp's own server in a child process for each replica.

Law: of a request only fields on the allow-list reach the engine; it knows many more, and some of them write files, move
other callers' slots or crash it (`slot_id`, `lora`, `n_discard`, raw `grammar`).
"""

from pathlib import Path

from toque.agents.child import child_environment
from toque.agents.embedded import EMBEDDED_NAME
from toque.agents.gguf import fault_of
from toque.agents.http import HttpAgent
from toque.agents.llama_cpp_server import EngineSettings
from toque.agents.request_body import CHAT, COMPLETIONS, EMBEDDINGS, REQUEST_FIELDS
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import ConfigError
from toque.ports import Dialect, Launch, ReplicaAgent

ENGINE_FIELDS = frozenset({"top_k", "min_p", "repeat_penalty", "typical_p"})
"""Fields of llama.cpp's own that only shape sampling."""


class LlamaCpp:
    """The kind of agent; see `ports.AgentKind`."""

    def launch(self, model: ModelSpec, secret: Secret) -> Launch:
        """Say how to run one replica. Raises `ConfigError` when its model file is not there."""
        spec = model.agent
        path = Path(spec.source)
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file.", fix="Set source to a .gguf file.")
        settings = EngineSettings(
            path=str(path.absolute()),
            alias=model.pool.name,
            slots=model.pool.slots,
            context_tokens=spec.context_tokens,
            threads=max(1, spec.threads),
            embeddings=spec.embeddings,
        )
        return Launch(settings.argv(), child_environment(secret))

    def endpoint(self, spec: AgentSpec) -> None:
        """Replicas run here, so a driver tells where."""
        return

    def dialect(self, spec: AgentSpec) -> Dialect:
        """Chat and completions, embeddings where they are switched on."""
        routes = {CHAT, COMPLETIONS, EMBEDDINGS} if spec.embeddings else {CHAT, COMPLETIONS}
        fields = REQUEST_FIELDS | ENGINE_FIELDS | frozenset(spec.fields)
        addresses = spec.fetches_addresses
        return Dialect(frozenset(routes), fields, streams_only=True, addresses=addresses, names_itself=True)

    def connect(self, endpoint: Endpoint, model: ModelSpec) -> ReplicaAgent:
        """Return the contract over one replica."""
        return HttpAgent(endpoint, model.pool.name)

    def check(self, spec: AgentSpec) -> None:
        """Read the model's header. Raises `ConfigError` naming path and reason."""
        if spec.options:
            raise ConfigError(f"Agent llama.cpp knows no option {', '.join(spec.options)}.", fix="Leave options out.")
        if not spec.source:
            raise ConfigError(
                "Agent llama.cpp needs a model.", fix=f'Write source = "./model.gguf" or "{EMBEDDED_NAME}".'
            )
        if spec.source != EMBEDDED_NAME and (fault := fault_of(Path(spec.source))):
            raise ConfigError(f"{spec.source}: {fault}.", fix="Set source to a whole .gguf file.")
