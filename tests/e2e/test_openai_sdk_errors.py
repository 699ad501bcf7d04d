"""The openai SDK when things go wrong: typed exceptions, its own retries and timeouts, keys; and a model with tools."""

import hashlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    pydantic_function_tool,
)
from pydantic import BaseModel

from tests.service import Service, call, serving, until

pytestmark = pytest.mark.slow

KEY = "tq_live_of-the-tests"
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
FAST = '[models.chat]\nagent = "fake"\noptions = { tokens = 4 }\n'
ONE_SLOT = """
[models.chat]
agent = "fake"
slots = 1
options = { ttft_s = 0.01, token_gap_s = 0.05, tokens = 2000 }
queue = { length_max = 0 }
"""


class Weather(BaseModel):
    """Look up the weather of a city."""

    city: str


def client_of(service: Service, key: str = "none", retries: int = 0) -> OpenAI:
    return OpenAI(base_url=f"{service.url}/v1", api_key=key, timeout=30, max_retries=retries)


def refused(service: Service, outcome: str) -> float:
    """How often a request ended so, by the service's own count."""
    page = call(service.admin_url, "GET", "/metrics")[2].decode()
    lines = [line for line in page.splitlines() if line.startswith("toque_requests_total") and outcome in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_callers_mistakes_are_typed_and_name_the_field(tmp_path: Path) -> None:
    with serving(tmp_path, FAST) as service, client_of(service) as client:
        with pytest.raises(NotFoundError) as caught:
            client.chat.completions.create(**{**HELLO, "model": "gpt-5"})
        assert (caught.value.code, caught.value.param, caught.value.type) == (
            "model_not_found",
            "model",
            "invalid_request_error",
        )
        assert caught.value.request_id
        for field, wrong in (("temperature", 9), ("n", 1000), ("top_logprobs", 21), ("max_tokens", -1)):
            with pytest.raises(BadRequestError) as bad:
                client.chat.completions.create(**HELLO, **{field: wrong})
            assert bad.value.param == field
        with pytest.raises(NotFoundError):
            client.models.retrieve("gpt-5")
        with pytest.raises(APIStatusError) as missing:
            client.responses.create(model="chat", input="hello")
        assert missing.value.status_code == 404


def test_with_keys_a_stranger_is_told_and_a_known_key_has_its_models(tmp_path: Path) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    settings = f'{FAST}\n[models.other]\nagent = "fake"\n[keys.alice]\nsha256 = "{digest}"\nmodels = ["chat"]\n'
    with serving(tmp_path, settings) as service:
        with client_of(service, "tq_live_wrong") as stranger, pytest.raises(AuthenticationError) as caught:
            stranger.chat.completions.create(**HELLO)
        assert caught.value.code == "invalid_api_key"
        with client_of(service, KEY) as alice:
            assert alice.chat.completions.create(**HELLO).choices[0].message.content
            assert [model.id for model in alice.models.list()] == ["chat"]
            with pytest.raises(PermissionDeniedError) as denied:
                alice.chat.completions.create(**{**HELLO, "model": "other"})
        assert denied.value.code == "model_not_allowed"
        assert KEY not in "".join(service.errors)


def test_no_room_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service, client_of(service) as client:
        stream = service.stream()
        next(stream.events())
        with pytest.raises(InternalServerError) as caught:
            client.chat.completions.create(**HELLO)
        assert (caught.value.status_code, caught.value.code) == (503, "queue_full")
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
        assert int(caught.value.response.headers["retry-after-ms"]) >= 1
        stream.close()
        service.idle()


def test_the_sdk_comes_again_by_itself_and_is_served(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service, client_of(service, retries=4) as client, ThreadPoolExecutor(1) as pool:
        stream = service.stream()
        next(stream.events())
        answer = pool.submit(client.chat.completions.create, **HELLO, max_tokens=3)
        until(lambda: refused(service, "queue_full") >= 1)
        stream.close()
        assert answer.result(30).choices[0].finish_reason == "length"


@pytest.mark.parametrize("ask", ["plain", "stream"])
def test_a_client_that_gives_up_frees_its_slot(tmp_path: Path, ask: str) -> None:
    settings = '[models.chat]\nagent = "fake"\nslots = 1\noptions = { ttft_s = 600 }\n'
    with serving(tmp_path, settings) as service, client_of(service) as client:
        impatient = client.with_options(timeout=0.5)
        with pytest.raises(APITimeoutError):
            impatient.chat.completions.create(**HELLO, stream=ask == "stream")
        service.idle()
        assert refused(service, "abandoned") == 1


def test_a_model_that_dies_mid_stream_raises_and_never_looks_complete(tmp_path: Path) -> None:
    settings = '[models.chat]\nagent = "fake"\noptions = { token_gap_s = 0.05, tokens = 2000 }\n'
    with serving(tmp_path, settings) as service, client_of(service) as client:
        stream = client.chat.completions.create(**HELLO, stream=True)
        said = [next(iter(stream))]
        kill(service)
        with pytest.raises(Exception, match="lost") as caught:
            said.extend(stream)
        assert getattr(caught.value, "code", None) == "upstream_lost"


def kill(service: Service) -> None:
    """End the only replica, by its id."""
    (pid,) = service.pids()
    os.kill(pid, signal.SIGKILL)


def test_a_model_with_tools_is_given_them_and_calls_one(tmp_path: Path) -> None:
    with serving(tmp_path, FAST) as service, client_of(service) as client:
        ask = client.chat.completions.create
        tools = {"tools": [pydantic_function_tool(Weather)], "tool_choice": "required"}
        answer = ask(**HELLO, **tools)
        (tool,) = answer.choices[0].message.tool_calls
        assert (answer.choices[0].finish_reason, tool.function.name) == ("tool_calls", "Weather")
        chunks = list(ask(**HELLO, **tools, stream=True))
        called = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
        assert called[0].function.name == "Weather"
