"""Agent `openai`: any OpenAI-compatible URL, such as vLLM, SGLang or a hosted API.

Law: the URL and the key come from the settings and nowhere else; the key is resolved when the endpoint is made.
"""

import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from toque.agents.http import HttpAgent
from toque.agents.request_body import CHAT, COMPLETIONS, EMBEDDINGS, REQUEST_FIELDS
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.errors import ConfigError
from toque.ports import Dialect, Launch, ReplicaAgent

ResolveSecret: TypeAlias = Callable[[str], Secret]
"""Turns a reference (`env:NAME`, `file:PATH`) into the secret. Raises `ConfigError`."""

ROUTES = frozenset({CHAT, COMPLETIONS, EMBEDDINGS})

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*")
_FIX = 'Write url = "https://HOST/v1" (or http://HOST:PORT/v1), and the key as key = "env:NAME".'


class OpenAIKind:
    """Replicas that are somebody else's: nothing is launched, calls go to one URL."""

    def __init__(self, resolve: ResolveSecret) -> None:
        self._resolve = resolve

    def launch(self, model: ModelSpec, secret: Secret) -> Launch | None:
        """Nothing runs here."""
        return None

    def endpoint(self, spec: AgentSpec) -> Endpoint:
        """Read the URL and the key. Raises `ConfigError`."""
        url, port = _checked(spec.url)
        secure = url.scheme == "https"
        return Endpoint(
            host=url.hostname or "",
            port=port or (443 if secure else 80),
            path_prefix=url.path.rstrip("/"),
            secure=secure,
            key=self._resolve(spec.key) if spec.key else None,
        )

    def dialect(self, spec: AgentSpec) -> Dialect:
        """OpenAI's own requests, and the fields that the settings add; the upstream says which routes it has."""
        fields = REQUEST_FIELDS | frozenset(spec.fields)
        return Dialect(ROUTES, fields, spec.upstream_model, addresses=spec.fetches_addresses)

    def connect(self, endpoint: Endpoint, model: ModelSpec) -> ReplicaAgent:
        """Speak to the URL under the upstream's name of the model."""
        return HttpAgent(endpoint, model.agent.upstream_model or model.pool.name)

    def check(self, spec: AgentSpec) -> None:
        """Raise `ConfigError` for a URL or a key reference that cannot be used; nothing is called."""
        self.endpoint(spec)


def _checked(text: str) -> tuple[SplitResult, int | None]:
    """Split a URL. Raises `ConfigError`, whose message has nothing of the URL: it may hold a password."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ConfigError("The url is malformed.", fix=_FIX) from error
    if url.scheme not in {"http", "https"}:
        raise ConfigError("The url must begin with http:// or https://.", fix=_FIX)
    if url.username is not None or url.password is not None:
        raise ConfigError("The url must not hold a user or password.", fix=_FIX)
    if url.query or url.fragment:
        raise ConfigError("The url must end with its path; it has a query or a fragment.", fix=_FIX)
    if not _HOST.fullmatch(url.hostname or "") or not _PREFIX.fullmatch(url.path.rstrip("/")) or port == 0:
        raise ConfigError("The url's host, port or path cannot be used.", fix=_FIX)
    return url, port
