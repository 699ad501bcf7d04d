"""Stories of tenants beside each other: shares, what counts, and a line that one of them fills."""

from collections import Counter

from tests.core.story import Story, refusals, routes, warm
from toque.model.messages import Abandoned, Arrived, Failed, Finished
from toque.model.spec import PoolSpec, QueueSpec, RetrySpec
from toque.model.ticket import FailureKind, Ticket

ROOMY = QueueSpec(length_max=1000, wait_s_max=1000.0)


def ask(ticket_id: int, tenant: str, prompt: int = 100, share: float = 1.0, output_max: int = 100) -> Arrived:
    ticket = Ticket(
        ticket_id, "chat", 1e9, tenant=tenant, prompt_tokens=prompt, output_tokens_max=output_max, share=share
    )
    return Arrived(ticket)


def play(story: Story, times: int) -> Counter[str]:
    """End the request in flight, so many times, a second apart; return whose turns followed."""
    turns = Counter[str]()
    for _ in range(times):
        (running,) = (journey for journey in story.fleet.journeys.values() if journey.replica_id)
        ((ticket_id, _),) = routes(story.at(story.now + 1.0, Finished(running.ticket.id, 0.1, 100, 100)))
        turns[story.fleet.journeys[ticket_id].ticket.tenant] += 1
    return turns


def test_o08_a_tenant_that_asks_a_hundred_times_more_leaves_the_others_their_share() -> None:
    story = warm(PoolSpec("chat", slots=1, queue=QueueSpec(length_max=110, wait_s_max=1000.0)))
    refused = refusals(story.at(0.0, *(ask(number, "loud") for number in range(1000))))
    assert len(refused) == 1000 - 111

    refused = refusals(story.at(1.0, *(ask(1000 + number, "calm") for number in range(10))))
    assert refused == [(110 - number, "rate_limit_exceeded") for number in range(10)], "loud's newest make way"
    assert refusals(story.at(1.0, ask(2000, "loud"))) == [(2000, "rate_limit_exceeded")]
    assert play(story, 20) == {"loud": 10, "calm": 10}, "half of the tokens for each while both wait"


def test_shares_decide_how_much_while_both_wait() -> None:
    story = warm(PoolSpec("chat", slots=1, queue=ROOMY))
    story.at(0.0, *(ask(number, "large", share=4.0) for number in range(101)))
    story.at(0.0, *(ask(number, "small") for number in range(200, 300)))
    assert play(story, 50) == {"large": 40, "small": 10}


def test_what_was_served_when_nobody_waited_is_held_against_nobody() -> None:
    story = warm(PoolSpec("chat", slots=1, queue=ROOMY))
    for number in range(100):
        story.at(float(number), ask(number, "early"))
        story.at(number + 0.5, Finished(number, 0.1, 100, 100))
    story.at(200.0, *(ask(number, "early") for number in range(100, 111)))
    story.at(200.0, *(ask(number, "late") for number in range(111, 121)))
    assert play(story, 10) == {"early": 5, "late": 5}


def test_the_length_of_answers_is_learnt_and_limits_of_the_caller_count() -> None:
    story = warm(PoolSpec("chat", slots=1))
    forecast = story.fleet.pools["chat"].forecast
    open_ended, short = ask(1, "a", 1000, output_max=0).ticket, ask(2, "a", 1000, output_max=16).ticket
    assert (forecast.cost_tokens(open_ended), forecast.cost_tokens(short)) == (1256, 1016)
    story.at(0.0, ask(3, "a"))
    story.at(1.0, Finished(3, 0.1, 100, 40))
    assert (forecast.cost_tokens(open_ended), forecast.cost_tokens(short)) == (1040, 1016)
    story.at(2.0, ask(4, "a"))
    story.at(3.0, Finished(4, 0.1, 100, 140))
    assert forecast.cost_tokens(open_ended) == 1050


def test_a_tenant_pays_for_what_it_got_and_only_once() -> None:
    """1. lost, back at the front, lost again: nothing; 2. its client left in flight: as foretold; 3. left while it was back: nothing."""
    queue, retry = QueueSpec(wait_s_max=1000.0), RetrySpec(attempts_max=1, backoff_s=0.0)
    story = warm(PoolSpec("chat", slots=1, queue=queue, retry=retry))
    story.at(0.0, *(ask(number, "b") for number in range(1, 9)))

    def paid() -> float:
        return story.fleet.pools["chat"].line._interactive._fair[3]._tallies["b"].counter

    story.at(1.0, Finished(1))
    assert paid() == 200.0
    story.at(2.0, Failed(2, FailureKind.ERROR))
    assert story.fleet.journeys[2].replica_id == 1, "it went first"
    assert paid() == 200.0, "and was charged once"
    assert routes(story.at(3.0, Failed(2, FailureKind.ERROR))) == [(3, 1)]  # 1
    assert paid() == 200.0, "that of the third"
    assert routes(story.at(4.0, Abandoned(3))) == [(4, 1)]  # 2
    assert paid() == 400.0
    story.at(5.0, Failed(4, FailureKind.LOST), Abandoned(4))  # 3
    assert paid() == 200.0
