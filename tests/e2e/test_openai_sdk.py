"""The openai SDK against the real embedded model behind a real `toque up`: what every application will do first."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, pydantic_function_tool
from pydantic import BaseModel

from tests.engine import Engine
from tests.service import Service, serving

pytestmark = pytest.mark.slow

SETTINGS = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
slots = 2
threads = 1
context_tokens = 2048

[models.vectors]
agent = "llama.cpp"
source = "embedded"
embeddings = true
threads = 1
context_tokens = 512
"""
BRIEF = {"role": "system", "content": "Answer in one short sentence."}
CAPITAL = {"role": "user", "content": "What is the capital of France?"}
TALE = {"role": "user", "content": "Tell a long story about the sea."}


class Person(BaseModel):
    """What the model is made to answer."""

    name: str
    age: int


class Weather(BaseModel):
    """Look up the weather of a city."""

    city: str


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> Iterator[Service]:
    assert embedded_model.exists()
    with serving(tmp_path_factory.mktemp("sdk"), SETTINGS) as running:
        running.ready(1, "chat")
        running.ready(1, "vectors")
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="none", timeout=50, max_retries=0) as made:
        yield made


def test_a_simple_question_is_answered_sensibly(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=[BRIEF, CAPITAL], temperature=0, max_tokens=40)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == "chat"
    assert answer._request_id
    assert answer.usage
    assert answer.usage.prompt_tokens > 10
    assert 0 < answer.usage.completion_tokens < 40
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_an_answer_that_was_cut_says_so(client: OpenAI) -> None:
    for limit in ({"max_tokens": 5}, {"max_completion_tokens": 5}):
        answer = client.chat.completions.create(model="chat", messages=[TALE], **limit)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage
        assert answer.usage.completion_tokens == 5


def test_at_temperature_0_the_answer_is_the_replicas_own(client: OpenAI, service: Service) -> None:
    replica = Engine(service)
    with OpenAI(base_url=f"{replica.url}/v1", api_key=replica.secret, timeout=30) as direct:
        said = [
            one.chat.completions.create(model="chat", messages=[BRIEF, CAPITAL], temperature=0, max_tokens=40)
            .choices[0]
            .message.content
            for one in (client, direct, client)
        ]
    assert said[0] == said[1] == said[2]


def test_a_stream_says_the_same_as_a_plain_answer(client: OpenAI) -> None:
    question = {"model": "chat", "messages": [BRIEF, CAPITAL], "temperature": 0, "max_tokens": 40}
    plain = client.chat.completions.create(**question)
    chunks = list(client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == plain.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage
    assert not chunks[-1].choices
    assert plain.usage
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens


def test_a_stream_has_no_usage_unless_it_was_asked_for(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="chat", messages=[CAPITAL], max_tokens=5, stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in stream)


async def test_the_asynchronous_client_does_both(service: Service) -> None:
    question = {"model": "chat", "messages": [BRIEF, CAPITAL], "temperature": 0, "max_tokens": 40}
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", timeout=50, max_retries=0) as client:
        plain = await client.chat.completions.create(**question)
        assert "Paris" in (plain.choices[0].message.content or "")
        stream = await client.chat.completions.create(**question, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(said) == plain.choices[0].message.content
    assert len(said) > 3


def test_a_stop_word_ends_the_answer_before_it(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="chat", messages=[BRIEF, CAPITAL], temperature=0, max_tokens=40, stop=["Paris"]
    )
    assert "Paris" not in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"


def test_log_probabilities_come_with_the_tokens(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="chat", messages=[BRIEF, CAPITAL], max_tokens=3, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].logprobs
    assert [len(token.top_logprobs) for token in answer.choices[0].logprobs.content or ()] == [2, 2, 2]


def test_a_schema_is_kept_to(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="chat",
        messages=[{"role": "user", "content": "Ada is 36 years old. Give her name and age."}],
        temperature=0,
        max_tokens=200,
        response_format=Person,
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_tools_are_taken_even_where_the_model_cannot_use_them(client: OpenAI) -> None:
    """The chat template of the embedded model has no place for tools; `fake` shows that they arrive."""
    answer = client.chat.completions.create(
        model="chat", messages=[CAPITAL], max_tokens=5, tools=[pydantic_function_tool(Weather)]
    )
    assert answer.choices[0].message.content


def test_a_text_is_completed(client: OpenAI) -> None:
    answer = client.completions.create(model="chat", prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in answer.choices[0].text
    stream = client.completions.create(
        model="chat", prompt="The capital of France is", max_tokens=5, temperature=0, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == answer.choices[0].text


def test_texts_become_vectors_and_like_texts_like_vectors(client: OpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose by two percent."]
    answer = client.embeddings.create(model="vectors", input=texts)
    assert [item.index for item in answer.data] == [0, 1, 2]
    cat, kitten, rates = (item.embedding for item in answer.data)
    assert _likeness(cat, kitten) > _likeness(cat, rates)
    assert answer.usage.prompt_tokens > 10
    as_text = client.embeddings.create(model="vectors", input=texts[0], encoding_format="float").data[0].embedding
    assert _likeness(as_text, cat) > 0.999


def _likeness(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5


def test_the_models_are_listed_with_their_state(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat", "vectors"]
    model = client.models.retrieve("chat")
    assert model.object == "model"
    assert json.loads(model.to_json())["x_toque"]["state"] == "ready"


def test_a_model_that_does_not_embed_says_so(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.embeddings.create(model="chat", input="x")
    assert caught.value.param == "model"


def test_a_prompt_beyond_the_context_is_the_callers_error(client: OpenAI) -> None:
    long = {"role": "user", "content": "word " * 5000}
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="chat", messages=[long])
    assert caught.value.code == "context_length_exceeded"
    assert "127.0.0.1" not in caught.value.message
