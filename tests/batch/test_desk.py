"""The desk runs batches from their input to their output, whatever happens to it in the middle."""

import pytest

from tests.batch.conftest import Reopen
from tests.batch.scripted import Clock, House, is_in, say
from toque.batch.database import StoreError
from toque.batch.jobs import LEASE_S
from toque.model.batch import Answer, BatchStatus


async def test_a_batch_runs_from_its_input_to_an_output_in_the_same_order(house: House) -> None:
    async with house.desk() as desk:
        batch = house.order(*(f"t{number}" for number in range(30)))
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
    assert (done.total, done.completed, done.failed, done.error_file_id) == (30, 30, 0, "")
    lines = house.lines(done.output_file_id)
    assert [line["custom_id"] for line in lines] == [f"c-t{number}" for number in range(30)]
    assert lines[0]["response"] == {"status_code": 200, "request_id": "req-1", "body": {"said": "t0"}}
    assert lines[0]["error"] is None
    assert house.inference.under_way_max <= 4


async def test_b10_an_input_with_a_broken_line_fails_the_batch_and_runs_nothing(house: House) -> None:
    async with house.desk() as desk:
        batch = house.order("a", "b", raw=b'\n{"custom_id": "c"}')
        done = await house.seen(desk, batch, is_in(BatchStatus.FAILED))
    assert [(error.line, error.code) for error in done.errors] == [(3, "invalid_line")]
    assert house.inference.asked == {}


async def test_b06_a_poisoned_item_goes_to_the_error_file_after_three_attempts(house: House) -> None:
    def reply(text: str, attempt: int) -> Answer:
        return Answer(502, b'{"error": {"message": "no"}}') if text == "bad" else say(text, attempt)

    house.inference.reply = reply
    async with house.desk() as desk:
        batch = house.order("a", "bad", "c")
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED), passes_s=1)
    assert (done.completed, done.failed, house.inference.asked["bad"]) == (2, 1, 3)
    (error,) = house.lines(done.error_file_id)
    assert error["custom_id"] == "c-bad"
    assert error["response"] == {"status_code": 502, "request_id": "", "body": {"error": {"message": "no"}}}


async def test_a_request_that_is_refused_for_good_is_not_tried_again(house: House) -> None:
    house.inference.reply = lambda _text, _attempt: Answer(400, b"{}")
    async with house.desk() as desk:
        done = await house.seen(desk, house.order("a"), is_in(BatchStatus.COMPLETED))
    assert (done.failed, house.inference.asked) == (1, {"a": 1})


async def test_b07_an_hour_without_room_burns_no_attempt(house: House) -> None:
    def reply(text: str, attempt: int) -> Answer:
        return Answer(503, b"{}", is_capacity=True, retry_after_s=60) if attempt < 60 else say(text, attempt)

    house.inference.reply = reply
    async with house.desk() as desk:
        done = await house.seen(desk, house.order("a"), is_in(BatchStatus.COMPLETED), passes_s=30)
    assert (done.completed, done.failed, house.inference.asked) == (1, 0, {"a": 60})


async def test_b08_a_cancelled_batch_keeps_what_was_done(house: House) -> None:
    async with house.desk(in_flight_max=2) as desk:
        house.inference.gate.clear()
        batch = house.order("a", "b", "c", "d")
        await house.seen(desk, batch, lambda _: house.inference.under_way == 2)
        await desk.off_loop(house.store.cancel, "ann", batch.id)
        house.inference.gate.set()
        done = await house.seen(desk, batch, is_in(BatchStatus.CANCELLED))
    assert (done.total, done.completed, done.failed) == (4, 2, 0)
    assert [line["custom_id"] for line in house.lines(done.output_file_id)] == ["c-a", "c-b"]


async def test_b09_what_did_not_run_within_the_window_expires(house: House) -> None:
    def reply(text: str, attempt: int) -> Answer:
        return Answer(503, b"{}", is_capacity=True, retry_after_s=1000) if text == "b" else say(text, attempt)

    house.inference.reply = reply
    async with house.desk() as desk:
        batch = house.order("a", "b", "c", window_s=100)
        done = await house.seen(desk, batch, is_in(BatchStatus.EXPIRED), passes_s=1)
    assert (done.total, done.completed, done.failed) == (3, 2, 1)
    (error,) = house.lines(done.error_file_id)
    assert (error["custom_id"], error["response"]) == ("c-b", None)
    assert error["error"] == {
        "code": "batch_expired",
        "message": "The completion window of the batch passed before this request was run.",
    }


async def test_items_under_way_when_the_desk_closes_are_taken_up_at_once_by_the_next(house: House) -> None:
    batch = house.order("a", "b")
    house.inference.gate.clear()
    async with house.desk() as desk:
        await house.seen(desk, batch, lambda _: house.inference.under_way == 2)
    assert house.inference.under_way == 0
    house.inference.gate.set()
    async with house.desk() as desk:
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
    assert (done.completed, house.inference.asked) == (2, {"a": 2, "b": 2})


async def test_an_item_that_takes_long_keeps_its_lease(house: House, clock: Clock) -> None:
    batch = house.order("a")
    house.inference.gate.clear()
    async with house.desk() as desk:
        await house.seen(desk, batch, lambda _: house.inference.under_way == 1)
        for _ in range(5):
            clock.now += LEASE_S * 0.6
            desk.look()
            await house.seen(
                desk, batch, lambda _: all(lease.until > clock.now + 50 for lease in desk._under_way.values())
            )
        house.inference.gate.set()
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
    assert (done.completed, house.inference.asked) == (1, {"a": 1})


async def test_b03_a_full_disk_pauses_the_work_and_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    settle, is_full = house.store.items.settle, True

    def settle_on_a_full_disk(outcomes: list[object]) -> list[bool]:
        if is_full:
            raise StoreError("The disk is full.")
        return settle(outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(house.store.items, "settle", settle_on_a_full_disk)
    async with house.desk() as desk:
        batch = house.order("a", "b")
        await house.seen(desk, batch, lambda _: desk.trouble == "The disk is full.")
        is_full = False
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
        assert desk.trouble == ""
    assert (done.completed, house.inference.asked) == (2, {"a": 1, "b": 1})


async def test_two_desks_on_one_store_share_the_items_and_run_each_once(house: House, reopen: Reopen) -> None:
    neighbour = House(reopen(), house.clock)
    neighbour.inference = house.inference
    batch = house.order(*(f"t{number}" for number in range(20)))
    async with house.desk(in_flight_max=2) as here, neighbour.desk(in_flight_max=2) as there:
        there.look()
        done = await house.seen(here, batch, is_in(BatchStatus.COMPLETED))
    assert done.completed == 20
    assert set(house.inference.asked.values()) == {1}
    assert len(house.lines(done.output_file_id)) == 20


async def test_the_desk_takes_on_what_finds_a_slot_and_a_few_more(house: House) -> None:
    house.inference.slots = 3
    house.inference.gate.clear()
    async with house.desk(in_flight_max=100, waiting_max=4) as desk:
        batch = house.order(*(f"t{number}" for number in range(40)))
        await house.seen(desk, batch, lambda _: house.inference.under_way == 7)
        await house.looked(desk, times=5)
        assert house.inference.under_way == 7, "three have a slot, four wait"
        house.inference.gate.set()
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
    assert (done.completed, house.inference.under_way_max) == (40, 7)


async def test_a_batch_whose_items_all_wait_holds_up_no_other(house: House) -> None:
    house.inference.slots = 0
    house.inference.gate.clear()
    async with house.desk(in_flight_max=100, waiting_max=2) as desk:
        first = house.order(*(f"a{number}" for number in range(9)))
        await house.seen(desk, first, lambda _: house.inference.under_way == 2)
        await desk.off_loop(house.order, *(f"b{number}" for number in range(9)))
        await house.seen(desk, first, lambda _: house.inference.under_way == 4)
    assert {text[0] for text in house.inference.asked} == {"a", "b"}


async def test_an_item_that_lost_its_slot_counts_among_those_that_wait(house: House) -> None:
    house.inference.slots = 1
    house.inference.gate.clear()
    async with house.desk(in_flight_max=100, waiting_max=2) as desk:
        batch = house.order(*(f"t{number}" for number in range(9)))
        await house.seen(desk, batch, lambda _: house.inference.under_way == 3)
        placed, displaced = house.inference.places["t0"]
        displaced()
        await house.looked(desk, times=5)
        assert house.inference.under_way == 3
        placed()
        house.inference.gate.set()
        done = await house.seen(desk, batch, is_in(BatchStatus.COMPLETED))
    assert (done.completed, set(house.inference.asked.values())) == (9, {1})
