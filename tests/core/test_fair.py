"""Fair queueing between tenants: by tokens served, by shares, without memory of idleness, within bounds."""

from collections import Counter
from itertools import combinations, count
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from toque.core.fair import ADVANCES_MAX, FairLine
from toque.core.journey import Journey
from toque.model.ticket import Ticket

IDS = count(1)


def journey(tenant: str = "", cost: int = 100, share: float = 1.0) -> Journey:
    made = Journey(Ticket(next(IDS), "chat", inf, tenant=tenant, share=share), 0.0)
    made.cost_tokens = cost
    return made


def fill(line: FairLine, tenant: str, *costs: int, share: float = 1.0) -> None:
    for cost in costs:
        line.join(journey(tenant, cost, share))


def end(taken: Journey, tokens: int | None) -> None:
    """It took so many; None: as many as foretold."""
    assert taken.charged_to is not None
    taken.charged_to.settle(0 if tokens is None else tokens - taken.cost_tokens)


def serve(line: FairLine, times: int) -> str:
    """Serve so many to their end, at the cost foretold; return whose they were."""
    served = ""
    for _ in range(times):
        taken = line.take()
        end(taken, None)
        served += taken.ticket.tenant
    return served


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.5, 1.0, 3.0]), st.lists(st.integers(1, 32_000), min_size=30, max_size=30), st.booleans()
        ),
        min_size=2,
        max_size=5,
    )
)
def test_while_two_tenants_wait_their_normalised_service_differs_by_less_than_two_of_the_costliest(
    tenants: list[tuple[float, list[int], bool]],
) -> None:
    """`is_wrong` tenants are charged half of what they take, and the rest when that is known, before the next turn."""
    line = FairLine()
    for name, (share, costs, is_wrong) in enumerate(tenants):
        fill(line, str(name), *((cost + 1) // 2 if is_wrong else cost for cost in costs), share=share)
    served = {str(name): 0.0 for name in range(len(tenants))}
    most = {str(name): max(costs) / share for name, (share, costs, _) in enumerate(tenants)}
    gaps: dict[tuple[str, str], list[float]] = {pair: [0.0] for pair in combinations(served, 2)}
    turns = Counter[str]()
    while max(turns.values(), default=0) < 30:  # as long as all of them wait
        taken = line.take()
        tenant = taken.ticket.tenant
        share, costs, _ = tenants[int(tenant)]
        cost = costs[turns[tenant]]
        end(taken, cost)
        turns[tenant] += 1
        served[tenant] += cost / share
        for (one, other), gap in gaps.items():
            gap.append(served[one] - served[other])
    for (one, other), gap in gaps.items():
        assert max(gap) - min(gap) <= most[one] + most[other] + 1e-6


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 500), st.integers(0, 1000), st.booleans()), max_size=60)
)
def test_everybody_is_served_exactly_once_first_come_first_within_a_tenant(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    line = FairLine()
    waiting: dict[str, list[int]] = {name: [] for name in "abcd"}
    under_way: list[Journey] = []
    for tenant, cost, took, is_turn in steps:
        newcomer = journey(tenant, cost)
        line.join(newcomer)
        waiting[tenant].append(newcomer.ticket.id)
        if took % 5 == 0:
            line.leave(newcomer)
            waiting[tenant].remove(newcomer.ticket.id)
        if is_turn and line:
            taken = line.take()
            assert waiting[taken.ticket.tenant].pop(0) == taken.ticket.id
            under_way.append(taken)
        if took % 3 == 0 and under_way:
            end(under_way.pop(0), took)
        assert bool(line) == any(waiting.values())
    while line:
        taken = line.take()
        assert waiting[taken.ticket.tenant].pop(0) == taken.ticket.id
    assert not any(waiting.values())


def test_a_tenant_with_thrice_the_share_is_served_thrice_the_tokens() -> None:
    line = FairLine()
    fill(line, "a", *[100] * 40, share=3.0)
    fill(line, "b", *[100] * 40)
    assert Counter(serve(line, 40)) == {"a": 30, "b": 10}


def test_tokens_count_and_not_requests() -> None:
    line = FairLine()
    fill(line, "l", *[1000] * 10)
    fill(line, "s", *[100] * 100)
    served = serve(line, 55)
    assert Counter(served) == {"s": 50, "l": 5}


def test_who_comes_back_from_idleness_has_saved_nothing_up() -> None:
    line = FairLine()
    fill(line, "a", *[100] * 20)
    assert serve(line, 10) == "a" * 10
    fill(line, "b", *[100] * 10)
    assert serve(line, 6) in {"bababa", "ababab", "baabab"}


def test_what_an_answer_really_took_counts_once_it_is_known() -> None:
    line = FairLine()
    fill(line, "a", *[100] * 20)
    fill(line, "b", *[100] * 20)
    long, short = line.take(), line.take()
    assert (long.ticket.tenant, short.ticket.tenant) == ("a", "b")
    end(long, 1000)
    end(short, 100)
    assert serve(line, 10) == "b" * 9 + "a"


def test_what_was_charged_too_much_is_given_back() -> None:
    line = FairLine()
    fill(line, "a", 1000, *[100] * 20)
    fill(line, "b", *[100] * 20)
    end(line.take(), 100)
    assert Counter(serve(line, 10)) == {"a": 5, "b": 5}


def test_one_request_at_a_time_is_no_way_to_be_always_first() -> None:
    line = FairLine()
    fill(line, "b", *[100] * 50)
    served = ""
    for _ in range(20):
        if "a" not in line.counters() or not line.newest_of("a"):
            fill(line, "a", 100)
        served += serve(line, 1)
    assert Counter(served) == {"a": 10, "b": 10}


def test_tenants_that_are_not_ahead_of_anybody_are_forgotten() -> None:
    line = FairLine()
    for number in range(100):
        fill(line, f"t{number}", 100)
    fill(line, "b", *[100] * 3)
    serve(line, 101)
    assert line.counters().keys() > {"t0", "b"}, "they are ahead of b, who waits"
    serve(line, 2)
    assert line.counters() == {"b": 100.0}
    gone = journey("gone")
    line.join(gone)
    line.leave(gone)
    assert "gone" not in line.counters()


def test_a_tenant_that_is_back_is_not_forgotten_by_its_former_lead() -> None:
    line = FairLine()
    fill(line, "a", 100)
    fill(line, "b", *[100] * 9)
    assert serve(line, 1) == "a"
    fill(line, "a", 700)
    assert serve(line, 2) in {"ba", "bb"}
    assert serve(line, 3) in {"abb", "bbb", "bab"}
    assert line.counters()["a"] > 0


def test_memory_of_leads_is_bounded() -> None:
    line = FairLine()
    fill(line, "patient", 1)
    serve(line, 1)
    for number in range(3 * ADVANCES_MAX):
        fill(line, f"t{number}", 100 + number)
        serve(line, 1)
        line._level = 0.0  # as if somebody waited all the time who was not served
    assert len(line.counters()) <= ADVANCES_MAX + 1
    assert len(line._advances) <= ADVANCES_MAX


def test_stale_turns_do_not_pile_up() -> None:
    line = FairLine()
    fill(line, "a", *[100] * 301)
    in_flight = [line.take() for _ in range(300)]
    fill(line, "b", 1, 1)
    assert serve(line, 1) == "b", "b is before a, and all further turns of a lie behind it"
    for one in in_flight:
        end(one, 101)
        assert len(line._turns) <= 2 * len(line.counters()) + 65
    assert serve(line, 2) == "ba"


def test_a_request_that_ends_after_its_tenant_was_forgotten_changes_nothing() -> None:
    line = FairLine()
    fill(line, "a", 100, 100)
    first = line.take()
    end(line.take(), None)
    assert "a" in line.counters(), "one is in flight"
    end(first, None)
    assert not line
