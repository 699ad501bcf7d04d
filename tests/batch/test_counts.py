"""What a batch says of itself while it runs, and what it keeps of odd words."""

import asyncio
import json
import random
from itertools import pairwise

import pytest

from tests.batch.scripted import CHAT, House, is_in, say
from toque.batch.jobs import JobStore
from toque.batch.verdict import tokens_of
from toque.model.batch import Answer, Batch, BatchOrder, BatchStatus, Purpose, TokenCounts
from toque.model.errors import InternalError

USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
HOSTILE = "'; DROP TABLE files; -- \" ? %s {} \\ \u2028 \u00e9"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_b14_counts_only_grow_never_pass_the_total_and_meet_it_at_the_end(house: House, seed: int) -> None:
    """Answers, refusals, failures, no room, a killed desk: all mixed by chance."""
    chance = random.Random(seed)

    def reply(text: str, attempt: int) -> Answer:
        status = chance.choice((200, 200, 400, 502, 503))
        return say(text, attempt) if status == 200 else Answer(status, b"{}", is_capacity=status == 503)

    house.inference.reply = reply
    seen: list[tuple[int, int, int]] = []

    def note(batch: Batch) -> bool:
        seen.append((batch.completed, batch.failed, batch.total))
        return False

    batch = house.order(*(f"t{number}" for number in range(40)))
    for _ in range(2):
        async with house.desk() as desk:
            await house.seen(desk, batch, lambda found: note(found) or found.completed >= chance.randrange(12))
    async with house.desk() as desk:
        done = await house.seen(
            desk, batch, lambda found: note(found) or found.status is BatchStatus.COMPLETED, passes_s=1
        )
    assert all(completed + failed <= total for completed, failed, total in seen)
    for before, after in pairwise(seen):
        assert all(earlier <= later for earlier, later in zip(before, after, strict=True))
    assert done.completed + done.failed == done.total == 40
    assert len(house.lines(done.output_file_id)) == done.completed
    assert len(house.lines(done.error_file_id)) == done.failed


async def test_the_tokens_of_a_batch_are_those_of_its_answers(house: House) -> None:
    house.inference.reply = lambda _text, _attempt: Answer(200, json.dumps({"usage": USAGE}).encode())
    async with house.desk() as desk:
        done = await house.seen(desk, house.order("a", "b"), is_in(BatchStatus.COMPLETED))
    assert done.tokens == TokenCounts(input=14, cached=6, output=10, reasoning=4)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nothing", b'{"usage": null}', b'{"usage": {"prompt_tokens": "x"}}'])
def test_an_answer_that_says_nothing_of_tokens_counts_as_none(body: bytes) -> None:
    assert tokens_of(body) == TokenCounts()


async def test_s04_words_that_look_like_sql_are_only_words(house: House) -> None:
    line = {"custom_id": HOSTILE, "method": "POST", "url": CHAT, "body": {"say": HOSTILE, "model": HOSTILE}}
    stored = house.shelf.put(HOSTILE, Purpose.BATCH, HOSTILE, [json.dumps(line).encode()])
    batch = house.store.create(BatchOrder(HOSTILE, CHAT, stored.id, "24h", 86_400, {HOSTILE: HOSTILE}))
    async with house.desk() as desk:
        while (found := await desk.off_loop(house.store.find, HOSTILE, batch.id)) and not found.output_file_id:
            await house.looked(desk, 1)
    assert found is not None
    assert (found.order.metadata, found.model) == ({HOSTILE: HOSTILE}, HOSTILE)
    assert [listed.filename for listed in house.shelf.all_of(HOSTILE, purpose="batch")] == [HOSTILE]
    output = house.shelf.find(HOSTILE, found.output_file_id)
    assert output is not None
    (answered,) = [json.loads(piece) for piece in house.shelf.read(output)]
    assert answered["custom_id"] == HOSTILE
    assert house.store.find("' OR '1'='1", batch.id) is None
    assert house.shelf.all_of("ann", after="' OR '1'='1") == []


async def test_b05_a_batch_whose_input_was_damaged_fails_and_says_so(house: House) -> None:
    batch = house.order("a")
    with house.database.transaction() as step:
        step.run("UPDATE pieces SET content = ?", b"{}")
    async with house.desk() as desk:
        done = await house.seen(desk, batch, is_in(BatchStatus.FAILED))
    assert [error.code for error in done.errors] == ["file_damaged"]


async def test_a_bug_of_ours_is_told_and_ends_no_other_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    advance = JobStore.advance

    def fail_once(store: JobStore) -> None:
        monkeypatch.setattr(JobStore, "advance", advance)
        raise InternalError("a bug")

    monkeypatch.setattr(JobStore, "advance", fail_once)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with house.desk() as desk:
        await house.seen(desk, house.order("a"), is_in(BatchStatus.COMPLETED))
    assert [context["message"] for context in told] == ["A look at the job store failed in an unforeseen way"]
