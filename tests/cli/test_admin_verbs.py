"""`toque ps`, `toque why` and `toque reload` against a real admin listener."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.cli.screen import Screen
from tests.gateway.scripted import answer_plainly, scene
from toque.cli.exits import Exit
from toque.gateway.admin import AdminSources, admin_app
from toque.model.announcement import Reloaded
from toque.model.condition import BreakerState
from toque.model.decision import Decision, Desired, Observation
from toque.model.messages import Arrived, Dispatch, Finished, RecordBreaker, RecordDecision, StartReplica, Woke
from toque.model.resources import Resources
from toque.model.service_spec import LimitSpec
from toque.model.spec import ColdStart
from toque.model.ticket import Ticket
from toque.model.view import FleetView, PoolView, ReplicaState, ReplicaView
from toque.ports import ReplicaStatus
from toque.records.explain import Explainer
from toque.records.journal import Step
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

_MIB = 2**20
_SEEN = Observation(3, 5, 1, 0, 0, 3.25, 7.5, 2.0, 2, 0.33, 1.5)
_DECISION = Decision("chat", _SEEN, Desired(5, "8 wanted in flight"), Desired(4, "not above 4"), 1, 2, "no room for 2")
_REPLICAS = (
    ReplicaView(1, ReplicaState.READY, 2, 2, 20.0, 20.33, None, Resources(93 * _MIB, 1.0), ColdStart(0.1, 0.2, 0.03)),
    ReplicaView(2, ReplicaState.LOADING, 0, 2, 99.5, None, None, Resources(93 * _MIB, 1.0), ColdStart()),
    ReplicaView(
        id=3,
        state=ReplicaState.READY,
        in_flight=0,
        slots=2,
        started_at=20.0,
        ready_at=20.5,
        idle_since=None,
        footprint=Resources(93 * _MIB, 1.0),
        cold_start=ColdStart(),
        breaker=BreakerState.HALF_OPEN,
        breaker_reason="it has rested",
    ),
)
_CHAT = PoolView("chat", "ok", "", _REPLICAS, 2, 5, 1, 2, 1, 4, ColdStart(0.1, 0.2, 0.03), _DECISION)
_COLD = PoolView("org/cold", "crash_loop", "exited with 1", (), 0, 0, 0, 1, 0, 2, ColdStart(), None)
_FLEET = FleetView(100.0, False, Resources(1024 * _MIB, 2.0), Resources(838 * _MIB, 0.0), (_CHAT, _COLD))
_STATUS = {1: ReplicaStatus(4001, 1.0, 95 * _MIB), 2: ReplicaStatus(4002, 0.4), 3: ReplicaStatus(4003)}
_POD = ReplicaStatus(name="toque-chat-1", phases=(("scheduled", 0.1), ("ready", 0.33)), delay="no machine has room")
_STEPS: list[Step] = [
    (98.0, Arrived(Ticket(17, "chat", 200.0, tenant="alice")), []),
    (99.5, Woke(), [RecordDecision(_DECISION), StartReplica("chat", 2)]),
    (99.75, Finished(16), [Dispatch(17, 1)]),
    (99.8, Woke(), [RecordBreaker("chat", 3, BreakerState.EJECTED, "10.0 times as slow as its peers", 10.0)]),
    (99.9, Woke(), [RecordBreaker("other", 9, BreakerState.OPEN, "5 failures in a row", 10.0)]),
    (99.95, Woke(), [RecordBreaker("chat", 3, BreakerState.HALF_OPEN, "it has rested")]),
]


def _explain() -> Explainer:
    return Explainer(lambda: _STEPS, lambda: {"chat", "org/cold"}, {"req_abc": 17}.get)


async def _reload(is_dry_run: bool) -> Reloaded:
    return Reloaded(("- a = 1", "+ a = 2"), ("chat: goes by the new settings",), is_dry_run)


@pytest.fixture
async def admin() -> AsyncIterator[Mapping[str, str]]:
    """An environment that points at an admin listener."""
    async with _listening(_FLEET) as environment:
        yield environment


@asynccontextmanager
async def _listening(fleet: FleetView) -> AsyncIterator[Mapping[str, str]]:
    sources = AdminSources(
        lambda: fleet, lambda one: _STATUS[one], _explain().why, lambda: (b"", "text/plain"), _reload
    )
    handler = AsgiHandler(admin_app(sources))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    yield {"TOQUE_ADMIN_LISTEN": f"127.0.0.1:{server.port}"}
    await server.close()
    await handler.close()


async def _run(environment: Mapping[str, str], *argv: str) -> tuple[int, Screen]:
    screen = Screen(environment)
    return await asyncio.to_thread(screen.run, *argv), screen


async def test_ps_shows_pools_replicas_and_the_last_decision(admin: Mapping[str, str]) -> None:
    ended, screen = await _run(admin, "ps")
    assert ended == Exit.DONE
    lines = screen.shown.splitlines()
    assert lines[0] == "chat  ok"
    assert lines[1] == "  2 of 3 replicas ready, 1 to 4 allowed; in flight 2; waiting 5 interactive, 1 batch"
    assert lines[2] == (
        "  last decision: 1 -> 2; wanted 5 (8 wanted in flight); allowed 4 (not above 4); no room for 2"
    )
    assert lines[4].split() == ["1", "ready", "2/2", "4001", "95", "MiB", "1m20s", "0.33", "s"]
    assert "loading 40%" in lines[5]
    assert "ready, half-open (it has rested)" in lines[6]
    assert "org/cold  crash_loop (exited with 1)" in lines
    assert screen.said == "free: 838 MiB of 1.0 GiB memory, 0 of 2 cores\n"


async def test_ps_tells_of_a_pod_its_name_its_steps_and_what_it_waits_for(
    admin: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_STATUS, 1, _POD)
    _, screen = await _run(admin, "ps")
    row = screen.shown.splitlines()[4]
    assert "ready: no machine has room" in row
    assert "toque-chat-1" in row
    assert row.endswith("0.33 s (scheduled 0.10 s, ready 0.33 s)")


async def test_reload_shows_the_difference_and_what_it_means(admin: Mapping[str, str]) -> None:
    ended, screen = await _run(admin, "reload")
    assert ended == Exit.DONE
    assert screen.shown.splitlines() == ["- a = 1", "+ a = 2", "chat: goes by the new settings"]
    _, screen = await _run(admin, "reload", "--dry-run")
    assert screen.shown.splitlines()[-1] == "a dry run: nothing was changed"
    _, screen = await _run(admin, "reload", "--dry-run", "--json")
    assert json.loads(screen.shown)["is_dry_run"]


async def test_ps_gives_a_program_everything(admin: Mapping[str, str]) -> None:
    _, screen = await _run(admin, "ps", "--json")
    told = json.loads(screen.shown)
    assert [pool["name"] for pool in told["fleet"]["pools"]] == ["chat", "org/cold"]
    assert [row["status"]["pid"] for row in told["replicas"]] == [4001, 4002, 4003]


async def test_why_tells_a_request_s_life_from_its_arrival(admin: Mapping[str, str]) -> None:
    ended, screen = await _run(admin, "why", "req_abc")
    assert ended == Exit.DONE
    assert screen.shown.splitlines() == [
        "request req_abc to chat",
        "  +0.000 s  arrived as interactive for alice",
        "  +1.500 s  replica 2 was ordered",
        "  +1.750 s  dispatched to replica 1",
    ]


async def test_why_tells_a_pool_s_decisions_with_what_was_seen_and_why(admin: Mapping[str, str]) -> None:
    _, screen = await _run(admin, "why", "chat")
    assert "0.50 s ago: 1 -> 2; wanted 5 (8 wanted in flight); allowed 4" in screen.shown
    assert "saw 3 in flight, 5 waiting (the oldest 1.50 s), 1 ready" in screen.shown
    assert "0.50 s ago: replica 2 ordered" in screen.shown
    assert "0.20 s ago: replica 3 breaker ejected for 10 s: 10.0 times as slow as its peers" in screen.shown
    assert "replica 3 breaker half-open: it has rested" in screen.shown
    assert "replica 9" not in screen.shown


async def test_why_takes_pools_with_a_slash_and_says_when_nothing_was_decided(admin: Mapping[str, str]) -> None:
    _, screen = await _run(admin, "why", "org/cold")
    assert "no scaling decision is remembered" in screen.shown


async def test_why_at_a_gateway_says_who_scales_instead() -> None:
    async with _listening(replace(_FLEET, leader="slots come from vm, which scales")) as gateway:
        _, screen = await _run(gateway, "why", "org/cold")
        assert "slots come from vm, which scales" in screen.shown


async def test_why_of_what_is_forgotten_fails_and_says_what_to_ask(admin: Mapping[str, str]) -> None:
    ended, screen = await _run(admin, "why", "req_gone")
    assert ended == Exit.FAILED
    assert "toque ps" in screen.said


@pytest.mark.parametrize("verb", [("ps",), ("why", "chat")])
def test_where_nothing_listens_the_way_out_is_told(verb: tuple[str, ...], unused_tcp_port: int) -> None:
    screen = Screen()
    assert screen.run(*verb, "--admin", f"http://127.0.0.1:{unused_tcp_port}") == Exit.NOT_RUNNING
    assert "toque up" in screen.said
    assert "--admin" in screen.said


def test_a_url_that_is_none_is_wrong_usage() -> None:
    screen = Screen()
    assert screen.run("ps", "--admin", "ftp://127.0.0.1:1") == Exit.USAGE


async def test_the_api_in_place_of_the_admin_listener_is_recognized() -> None:
    async with scene(answer_plainly) as story:
        ended, screen = await _run({}, "ps", "--admin", f"127.0.0.1:{story.gateway.port}")
    assert ended == Exit.USAGE
    assert "it is not what this command asks" in screen.said
    assert "its admin listener (not the API)" in screen.said
