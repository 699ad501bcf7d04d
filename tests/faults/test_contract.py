"""H14: drawn requests to a running gateway, sound and unsound. Nothing is a failure of ours, and every error has its shape.

The paths, methods and fields are those of the API; the draws are the same each time.
"""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service import Service, call, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DRAWS = 1500
FAKE = '[models.chat]\nagent = "fake"\nembeddings = true\noptions = { tokens = 2, ttft_s = 0.0, token_gap_s = 0.0 }\n'
PATHS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/chat",
    "/livez",
    "/version",
]
MEANT = {200, 400, 401, 404, 405, 408, 413, 414, 415, 422, 431}
"""All that a client can bring about; the rest is for faults that this gateway does not have here."""

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(width=64) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "messages", "prompt", "input", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p",
    "stop", "seed", "logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice", "response_format", "user", "store",
    "service_tier", "priority", "metadata", "functions", "dimensions", "encoding_format", "grammar", "lora", "unheard_of",
]  # fmt: skip
SOUND = {"messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x", "max_tokens": 2}
bodies = st.builds(
    lambda base, drawn, model: {**base, **drawn, "model": model},
    st.sampled_from([SOUND, {}]),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=3),
    st.sampled_from(["chat", "chat", "chat", "none"]) | values,
)
contents = bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60) | st.just(b"")
tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.~!$&'()*+,;=:@/%", max_size=20)
headers = st.dictionaries(
    st.sampled_from(
        ["authorization", "x-request-id", "x-toque-timeout-ms", "accept", "content-type", "origin", "priority"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.strip),
    max_size=2,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("contract"), FAKE) as running:
        yield running


@settings(max_examples=DRAWS, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET", "DELETE", "PUT", "HEAD", "OPTIONS"]),
    path=st.sampled_from(PATHS[:3]) | st.sampled_from(PATHS) | tokens.map(lambda rest: f"/{rest}"),
    sent=contents,
    given_headers=headers,
)
def test_h14_whatever_is_drawn_is_answered_in_the_shape_of_the_api(
    service: Service, method: str, path: str, sent: bytes, given_headers: dict[str, str]
) -> None:
    body = sent if method in {"POST", "PUT", "DELETE"} else None
    status, answered, content = call(service.url, method, path, body, given_headers)
    assert status in MEANT or (status == 504 and "x-toque-timeout-ms" in given_headers), (status, content)
    assert answered["x-request-id"]
    if status >= 400 and method != "HEAD":
        error = json.loads(content)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert error["type"]
        assert error["code"]
        assert "Traceback" not in error["message"]


def test_h14_afterwards_nothing_is_under_way(service: Service) -> None:
    service.idle()
    assert service.ask()[0] == 200
