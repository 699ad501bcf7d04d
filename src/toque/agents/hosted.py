"""What kinds of agents share whose agent is a Python class: a child process of ours hosts it (`toque.agents.host`).

Law: the class is named to the child and imported only there, so that nothing of it runs in the gateway.
"""

from toque.agents.child import child_environment
from toque.agents.host import HostOrder
from toque.agents.http import HttpAgent
from toque.agents.request_body import CHAT, COMPLETIONS, EMBEDDINGS, REQUEST_FIELDS
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.ports import Dialect, Launch, ReplicaAgent


class HostedKind:
    """An `AgentKind` for the class at `package.module:Class`; a kind of its own adds its `check`."""

    def __init__(self, class_path: str) -> None:
        self.class_path = class_path

    def launch(self, model: ModelSpec, secret: Secret) -> Launch:
        """Run the host with the class, its options, the model's name and slots."""
        order = HostOrder(self.class_path, dict(model.agent.options), model.pool.name, model.pool.slots)
        return Launch(order.argv(), child_environment(secret))

    def endpoint(self, spec: AgentSpec) -> Endpoint | None:
        """It runs here: the driver knows where."""
        return None

    def dialect(self, spec: AgentSpec) -> Dialect:
        """OpenAI's own requests, and the fields that the settings add; embeddings where the settings say so."""
        routes = {CHAT, COMPLETIONS, EMBEDDINGS} if spec.embeddings else {CHAT, COMPLETIONS}
        return Dialect(frozenset(routes), REQUEST_FIELDS | frozenset(spec.fields), addresses=spec.fetches_addresses)

    def connect(self, endpoint: Endpoint, model: ModelSpec) -> ReplicaAgent:
        """Speak to the host."""
        return HttpAgent(endpoint, model.pool.name)
