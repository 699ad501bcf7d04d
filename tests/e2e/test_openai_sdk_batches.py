"""Files and batches through OpenAI's own SDK, unchanged, sync and async, on each of the two stores."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from tests.service import Service, serving, until

SETTINGS = """
[models.chat]
agent = "fake"
slots = 8
embeddings = true
[models.strict]
agent = "fake"
options = { fail_ratio = 1, fail_status = 400 }
"""
ENDED = {"completed", "failed", "expired", "cancelled"}
DAY = 24 * 3600


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {}
    if request.param == "postgres":
        environment = {"TOQUE_JOBS_STORE": request.getfixturevalue("postgres_server").database()}
    with serving(tmp_path_factory.mktemp(request.param), SETTINGS, environment=environment) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30) as made:
        yield made


@pytest.fixture
async def asynchronous(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30) as made:
        yield made


BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "chat", "messages": [{"role": "user", "content": "Hello."}]},
    "/v1/completions": {"model": "chat", "prompt": "Hello"},
    "/v1/embeddings": {"model": "chat", "input": "Hello."},
}


def lines(count: int, url: str = "/v1/chat/completions", **changed: Any) -> bytes:
    asked = [
        {"custom_id": f"item-{number}", "method": "POST", "url": url, "body": {**BODIES[url], **changed}}
        for number in range(count)
    ]
    return "\n".join(map(json.dumps, asked)).encode()


def ended(client: OpenAI, batch_id: str) -> Any:
    def look() -> Any:
        batch = client.batches.retrieve(batch_id)
        return batch if batch.status in ENDED else None

    return until(look)


def test_files_are_uploaded_listed_read_and_deleted(client: OpenAI) -> None:
    contents = {f"in-{number}.jsonl": lines(number + 1) for number in range(5)}
    made = [client.files.create(file=pair, purpose="batch") for pair in contents.items()]
    assert [client.files.content(file.id).content for file in made] == list(contents.values())
    for file in made:
        assert (file.object, file.status, file.purpose) == ("file", "processed", "batch")
        assert file.expires_at == file.created_at + 30 * DAY
        assert client.files.retrieve(file.id) == file
    ids = {file.id for file in made}
    newest = [file.id for file in client.files.list(limit=2) if file.id in ids]  # the SDK asks for page after page
    assert newest == [file.id for file in client.files.list(order="desc") if file.id in ids]
    assert newest[::-1] == [file.id for file in client.files.list(order="asc", limit=3) if file.id in ids]
    assert len(newest) == 5
    page = client.files.list(limit=1, after=newest[0])
    assert ([file.id for file in page.data], page.has_more) == ([newest[1]], True)
    assert not client.files.list(purpose="batch_output").data or all(
        file.purpose == "batch_output" for file in client.files.list(purpose="batch_output")
    )
    assert client.files.list(purpose="vision").data == []
    for file in made:
        assert client.files.delete(file.id).deleted
    with pytest.raises(NotFoundError):
        client.files.content(made[0].id)


def test_a_file_expires_when_its_owner_says(client: OpenAI) -> None:
    file = client.files.create(
        file=("in.jsonl", lines(1)), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600
    for seconds in (3599, 30 * DAY + 1):
        with pytest.raises(BadRequestError, match="expires_after"):
            client.files.create(
                file=("in.jsonl", b"{}"), purpose="batch", expires_after={"anchor": "created_at", "seconds": seconds}
            )


@pytest.mark.parametrize("endpoint", BODIES)
def test_each_endpoint_runs_and_its_answers_are_whole(client: OpenAI, endpoint: Any) -> None:
    file = client.files.create(file=("in.jsonl", lines(3, endpoint)), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,
        completion_window="24h",
        metadata={"team": "blue"},
        output_expires_after={"anchor": "created_at", "seconds": 7200},
    )
    done = ended(client, batch.id)
    assert (done.status, done.endpoint, done.model, done.metadata) == ("completed", endpoint, "chat", {"team": "blue"})
    assert done.expires_at == done.created_at + DAY
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert output.expires_at == output.created_at + 7200
    answers = [json.loads(line) for line in client.files.content(output.id).iter_lines()]
    assert [set(answer) for answer in answers] == [{"id", "custom_id", "response", "error"}] * 3
    assert {answer["response"]["status_code"] for answer in answers} == {200}
    tokens = [answer["response"]["body"]["usage"] for answer in answers]
    assert done.usage.input_tokens == sum(usage["prompt_tokens"] for usage in tokens) > 0
    assert done.usage.total_tokens == sum(usage["total_tokens"] for usage in tokens)


def test_requests_that_are_refused_are_in_the_error_file(client: OpenAI) -> None:
    mixed = lines(1) + b"\n" + lines(2, model="strict").splitlines()[1]
    file = client.files.create(file=("in.jsonl", mixed), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    done = ended(client, batch.id)
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 1)
    (error,) = [json.loads(line) for line in client.files.content(done.error_file_id).text.splitlines()]
    assert error["custom_id"] == "item-1"
    assert error["response"]["status_code"] == 400
    assert set(error["response"]["body"]["error"]) == {"message", "type", "param", "code"}


def test_orders_that_cannot_be_are_refused_with_the_field(client: OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", lines(1)), purpose="batch")
    good = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    wrong: list[tuple[str, Any, str]] = [
        ("endpoint", "/v1/videos", "endpoint"),
        ("completion_window", "2d", "completion_window"),
        ("metadata", {f"key-{number}": "x" for number in range(17)}, "16 entries"),
        ("metadata", {"k" * 65: "x"}, "64"),
        ("metadata", {"k": "x" * 513}, "512"),
        ("output_expires_after", {"anchor": "created_at", "seconds": 1}, "3600"),
        ("input_file_id", "file-" + "0" * 24, "no such file"),
    ]
    for field, value, told in wrong:
        with pytest.raises(BadRequestError, match=told):
            client.batches.create(**{**good, field: value})
    ours = client.batches.create(**{**good, "completion_window": "1h"})  # type: ignore[arg-type]
    assert ours.expires_at == ours.created_at + 3600
    ended(client, ours.id)


def test_s04_keys_models_and_ids_that_look_like_sql_find_nothing(service: Service, client: OpenAI) -> None:
    hostile = "x'; DROP TABLE batches; --"
    file = client.files.create(file=(hostile, lines(1, model=hostile)), purpose="batch")
    assert client.files.retrieve(file.id).filename == hostile
    refused = ended(
        client,
        client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={hostile: hostile},
            extra_headers={"authorization": f"Bearer {hostile}"},
        ).id,
    )
    assert (refused.status, refused.metadata) == ("failed", {hostile: hostile})
    for name in (hostile, "' OR '1'='1"):
        with pytest.raises(NotFoundError):
            client.batches.retrieve(name)
        with pytest.raises(BadRequestError):
            client.batches.list(after=name)
    assert refused.id in [batch.id for batch in client.batches.list()]


async def test_the_asynchronous_sdk_does_the_same(asynchronous: AsyncOpenAI) -> None:
    client = asynchronous
    file = await client.files.create(file=("in.jsonl", lines(200)), purpose="batch")
    batches = [
        await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        for _ in range(3)
    ]
    cancelled = await client.batches.cancel(batches[2].id)
    assert cancelled.status in {"cancelling", "cancelled", "in_progress", "finalizing", "completed"}
    for batch in batches:
        while (found := await client.batches.retrieve(batch.id)).status not in ENDED:
            pass
        counts = found.request_counts
        assert counts is not None
        if found.output_file_id:
            content = await client.files.content(found.output_file_id)
            assert len(content.text.splitlines()) == counts.completed
    ids = [batch.id async for batch in client.batches.list(limit=2)]
    assert set(ids) >= {batch.id for batch in batches}
    assert [stored.id async for stored in client.files.list(limit=5, purpose="batch")].count(file.id) == 1
    await client.files.delete(file.id)
    with pytest.raises(NotFoundError):
        await client.files.retrieve(file.id)
