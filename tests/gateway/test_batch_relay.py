"""Requests of class batch at the gateway: their calls are stopped and made again, until bytes go to a client."""

import asyncio
import json

from tests.gateway.scripted import HELLO, answer_in_tokens, answer_plainly, scene
from tests.gateway.test_race import Held
from tests.wire.raw import until
from toque.model.messages import Began, Failed, Finished
from toque.model.ticket import FailureKind, ServiceClass

FLEXIBLE = HELLO | {"service_tier": "flex"}


async def test_a_call_that_is_preempted_is_closed_and_made_again_when_a_slot_is_granted() -> None:
    first = Held(answer_plainly)
    async with scene(first, answer_plainly) as story:
        story.ask(FLEXIBLE)
        await until(lambda: len(story.requests) == 1)
        assert story.fleet.tickets[1].service_class is ServiceClass.BATCH
        story.fleet.waiters[1].preempted()
        await first.has_gone.wait()
        assert story.fleet.events == [], "it is no failure, and nobody left"
        story.fleet.grant(1)
        reply = await story.client.answer()
        assert (reply.status, reply.fields["x-toque-replica"]) == (200, "2")
        (finished,) = story.fleet.events
        assert isinstance(finished, Finished)
        assert story.records.served[0].attempts == 1


async def test_the_core_is_told_that_an_answer_flows_for_batch_alone() -> None:
    async with scene(answer_in_tokens) as story:
        story.ask(FLEXIBLE | {"stream": True})
        await story.client.answer()
        assert [type(event) for event in story.fleet.events] == [Began, Finished]
    async with scene(answer_in_tokens) as story:
        story.ask(HELLO | {"stream": True})
        await story.client.answer()
        assert [type(event) for event in story.fleet.events] == [Finished]


async def test_a_grant_or_refusal_that_crosses_a_failure_leaves_no_call_behind() -> None:
    first, second = Held(answer_plainly), Held(answer_plainly)
    async with scene(first, second, answer_plainly) as story:
        story.ask(FLEXIBLE)
        await until(lambda: len(story.requests) == 1)
        story.fleet.post(Failed(1, FailureKind.NOT_SENT))  # told late: this grant is a second one
        await first.has_gone.wait()
        await until(lambda: len(story.requests) == 2)
        story.fleet.untried[1].clear()
        story.fleet.grant(1)
        assert (await story.client.answer()).status == 502
        await second.has_gone.wait()


async def test_an_item_says_when_it_gets_a_slot_and_when_it_loses_it() -> None:
    first = Held(answer_plainly)
    async with scene(first, answer_plainly) as story:
        told: list[str] = []
        body = json.dumps(HELLO).encode()
        inside = story.gateway.inside
        asking = asyncio.create_task(
            inside.answer("", "/v1/chat/completions", body, lambda: told.append("got"), lambda: told.append("lost"))
        )
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].preempted()
        story.fleet.grant(1)
        assert (await asking).status == 200
        assert told == ["got", "lost", "got"]
