"""The gateway under test: where it is, how it is asked, and how requests to it are written.

Law: the key is in the bytes of requests and nowhere else.
"""

import json
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from toque.model.agent_spec import Secret
from toque.model.errors import ConfigError

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None

CHAT = "/chat/completions"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """`prefix` is the path before `/chat/completions`; `model` is asked for; `metrics` is a URL of counters, or empty."""

    host: str
    port: int
    prefix: str
    is_tls: bool = False
    key: Secret | None = None
    model: str = ""
    metrics: str = ""

    @property
    def authority(self) -> str:
        """What the Host field says."""
        return f"{self.host}:{self.port}"

    def request(self, method: str, path: str, *fields: str, body: bytes = b"", has_key: bool = True) -> bytes:
        """Write a request as a good client would, below the prefix; `fields` are further header lines."""
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {self.authority}", *fields]
        lines += self.key_lines() if has_key else []
        if body and not any(line.lower().startswith(("transfer-encoding", "content-length")) for line in fields):
            lines.append(f"Content-Length: {len(body)}")
        if body and not any(line.lower().startswith("content-type") for line in fields):
            lines.append("Content-Type: application/json")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def key_lines(self) -> list[str]:
        """Return the header line with the key, if there is one."""
        return [] if self.key is None else [f"Authorization: Bearer {self.key.reveal()}"]

    def question(self, **fields: Json) -> bytes:
        """Write the body of a short chat request; `fields` come on top."""
        messages: Json = [{"role": "user", "content": "Say hi."}]
        asked: dict[str, Json] = {"model": self.model, "messages": messages, "max_tokens": 8, **fields}
        return json.dumps({name: content for name, content in asked.items() if content is not None}).encode()

    def chat(self, *fields: str, **asked: Json) -> bytes:
        """Write a whole chat request."""
        return self.request("POST", CHAT, *fields, body=self.question(**asked))


def target_at(url: str, *, key: Secret | None = None, model: str = "", metrics: str = "") -> Target:
    """Read a URL, with or without its `/v1`. Raises `ConfigError`."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{url!r} is no URL of a gateway", fix="write http://HOST:PORT or https://HOST/v1") from error
    if not parts.hostname:
        raise ConfigError(f"{url!r} names no host", fix="write http://HOST:PORT or https://HOST/v1")
    prefix = parts.path.rstrip("/") or "/v1"
    return Target(parts.hostname, port, prefix, parts.scheme == "https", key, model, metrics)
