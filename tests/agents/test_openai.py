"""Agent openai: what its settings become, and which settings cannot be used."""

import pytest

from toque.agents.openai import OpenAIKind
from toque.agents.request_body import REQUEST_FIELDS
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.errors import ConfigError
from toque.model.spec import PoolSpec


def resolve(reference: str) -> Secret:
    if reference != "env:KEY":
        raise ConfigError(f"There is no secret at {reference}.")
    return Secret("sk-1")


KIND = OpenAIKind(resolve)


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix", "secure"),
    [
        ("https://api.example.com/v1", "api.example.com", 443, "/v1", True),
        ("http://127.0.0.1:8000/v1/", "127.0.0.1", 8000, "/v1", False),
        ("http://[::1]:8000", "::1", 8000, "", False),
        ("https://example.com/openai/deployments/gpt-4.1", "example.com", 443, "/openai/deployments/gpt-4.1", True),
    ],
)
def test_a_url_becomes_an_endpoint(url: str, host: str, port: int, prefix: str, secure: bool) -> None:
    endpoint = KIND.endpoint(AgentSpec(url=url))
    assert (endpoint.host, endpoint.port, endpoint.path_prefix, endpoint.secure) == (host, port, prefix, secure)
    assert endpoint.key is None


def test_a_key_is_resolved_and_never_printed() -> None:
    endpoint = KIND.endpoint(AgentSpec(url="https://example.com/v1", key="env:KEY"))
    assert endpoint.key is not None
    assert endpoint.key.reveal() == "sk-1"
    assert "sk-1" not in repr(endpoint)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/v1",
        "ftp://example.com/v1",
        "file:///etc/passwd",
        "https://user:hunter2@example.com/v1",
        "https://:hunter2@example.com/v1",
        "https:///v1",
        "https://exa mple.com/v1",
        "https://example.com:99999/v1",
        "https://example.com:0/v1",
        "https://example.com/v1?key=hunter2",
        "https://example.com/v1#hunter2",
        "https://example.com/v 1",
        "https://[::1/v1",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        KIND.check(AgentSpec(url=url))
    assert "hunter2" not in raised.value.message + raised.value.fix
    assert raised.value.fix


def test_a_key_that_is_not_there_is_found_by_the_check() -> None:
    with pytest.raises(ConfigError, match="no secret"):
        KIND.check(AgentSpec(url="https://example.com/v1", key="env:OTHER"))


def test_the_dialect_is_openais_and_what_the_settings_add() -> None:
    dialect = KIND.dialect(AgentSpec(upstream_model="gpt-9", fields=("top_k",)))
    assert dialect.fields == REQUEST_FIELDS | {"top_k"}
    assert dialect.model == "gpt-9"
    assert not dialect.fields & {"n_discard", "slot_id", "grammar", "lora", "cache_prompt"}


def test_nothing_is_launched() -> None:
    assert KIND.launch(ModelSpec(PoolSpec("hosted"), AgentSpec()), Secret("x")) is None
