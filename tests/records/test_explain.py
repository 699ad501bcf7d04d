"""What `toque why` tells of a request that other pools took, or did not take."""

from toque.model.messages import Arrived, Dispatch, Divert, Failed, Finished, Refuse, StartReplica
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason, Ticket
from toque.records.explain import explain_request
from toque.records.journal import Step

ASKED = Arrived(Ticket(1, "chat", 60.0, tenant="ann", fallbacks=("small", "gpt")))


def life(*steps: Step) -> list[tuple[float, str]]:
    told = explain_request("req", 1, [(10.0, ASKED, []), *steps])
    assert told is not None
    assert told["pool"] == "chat"
    lines = told["life"]
    assert isinstance(lines, list)
    return [(line["at_s"], line["what"]) for line in lines]


def test_every_move_is_told_with_its_cause_and_what_was_started_for_it() -> None:
    told = life(
        (11.0, Failed(1, FailureKind.ERROR), [Divert(1, "small", FallbackCause.FAILURE, "upstream_lost")]),
        (
            11.5,
            Finished(9),
            [StartReplica("small", 4), StartReplica("chat", 5), Divert(2, "gpt", FallbackCause.PATIENCE, "")],
        ),
        (12.0, Finished(9), [Dispatch(1, 4)]),
    )
    assert told == [
        (0.0, "arrived as interactive for ann"),
        (1.0, "the replica failed it (error)"),
        (1.0, "goes on to small (failure: upstream_lost)"),
        (1.5, "replica 4 was ordered"),
        (2.0, "dispatched to replica 4"),
    ]


def test_a_refusal_tells_why_no_fallback_took_it() -> None:
    why = "small takes nothing now; gpt would exceed the spending limit of 2 an hour"
    told = life((11.0, Finished(9), [Refuse(1, RefusalReason.QUEUE_FULL, 2.0, why)]))
    assert told[-1] == (1.0, f"refused: queue_full, retry after 2.0 s; no fallback took it: {why}")
