"""The admin listener: what it tells, and to whom it tells nothing."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from toque.gateway.admin import AdminSources, SameMachine, admin_app
from toque.gateway.scrape import TURN_BYTES, scrape_app
from toque.model.announcement import Reloaded
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.service_spec import LimitSpec
from toque.model.spec import ColdStart
from toque.model.view import FleetView, PoolView, ReplicaState, ReplicaView
from toque.ports import ReplicaStatus
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

_REPLICA = ReplicaView(7, ReplicaState.READY, 1, 2, 90.0, 91.0, None, Resources(1024, 1.0), ColdStart(0.1, 0.2, 0.1))
_POOL = PoolView("org/chat", "ok", "", (_REPLICA,), 1, 3, 4, 2, 1, 4, ColdStart(), None)
_FLEET = FleetView(100.0, False, Resources(4096, 2.0), Resources(3072, 1.0), (_POOL,))


@dataclass
class Door:
    """An admin listener on a free port, asked the way a browser or a scraper asks."""

    port: int

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        return await asyncio.to_thread(self._ask, path, method, headers)

    def _ask(self, path: str, method: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def _why(subject: str) -> Mapping[str, object] | None:
    if subject == "org/broken":
        raise ValueError("a bug of ours")
    return {"kind": "pool", "pool": subject} if subject == "org/chat" else None


async def _reload(is_dry_run: bool) -> Reloaded:
    if is_dry_run:
        return Reloaded(("- models.chat.slots = 1", "+ models.chat.slots = 2"), ("chat: restarts",), is_dry_run)
    raise ConfigError("slots must be a number.", where="toque.toml:4:1", fix="slots = 2")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    sources = AdminSources(
        view=lambda: _FLEET,
        status=lambda replica_id: ReplicaStatus(pid=4000 + replica_id, memory_bytes=2048),
        why=_why,
        metrics=lambda: (iter([b"toque_up 1\n"]), "text/plain; version=1.0.0"),
        reload=_reload,
    )
    handler = AsgiHandler(admin_app(sources))
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    yield Door(server.port)
    await server.close()
    await handler.close()


async def test_it_shows_the_fleet_its_budget_and_its_pools(door: Door) -> None:
    status, headers, body = await door.ask("/admin/v1/pools")
    fleet = json.loads(body)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert fleet["free"]["memory_bytes"] == 3072
    assert [(pool["name"], pool["waiting_batch"]) for pool in fleet["pools"]] == [("org/chat", 4)]


async def test_a_replica_is_told_with_its_process_and_age(door: Door) -> None:
    (row,) = json.loads((await door.ask("/admin/v1/replicas"))[2])["replicas"]
    assert (row["pool"], row["replica"]["state"], row["age_s"], row["status"]["pid"]) == ("org/chat", "ready", 10, 4007)


async def test_metrics_keep_the_content_type_of_their_format(door: Door) -> None:
    status, headers, body = await door.ask("/metrics")
    assert (status, headers["content-type"], body) == (200, "text/plain; version=1.0.0", b"toque_up 1\n")


@pytest.mark.parametrize("path", ["/admin/v1/why/org/chat", "/admin/v1/why/org%2Fchat"])
async def test_why_takes_names_with_a_slash(door: Door, path: str) -> None:
    assert json.loads((await door.ask(path))[2]) == {"kind": "pool", "pool": "org/chat"}


async def test_why_of_something_forgotten_is_404_and_says_what_to_ask_instead(door: Door) -> None:
    status, _, body = await door.ask("/admin/v1/why/req_gone")
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"


async def test_it_lives_and_says_its_version(door: Door) -> None:
    assert (await door.ask("/livez"))[0] == 200
    assert "toque" in json.loads((await door.ask("/admin/v1/version"))[2])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8081"},
        {"Host": "127.0.0.1.example"},
        {"Host": "[::2]:8081"},
        {"Origin": "http://rebound.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
    ],
)
async def test_no_page_of_another_site_gets_in_whatever_the_method(
    door: Door, method: str, headers: Mapping[str, str]
) -> None:
    status, answered, _ = await door.ask("/admin/v1/pools", method, **headers)
    assert status == 403
    assert "access-control-allow-origin" not in answered


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "localhost"])
async def test_every_name_of_this_machine_is_let_in(door: Door, host: str) -> None:
    assert (await door.ask("/livez", Host=host, Origin=f"http://{host}"))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_s08_nothing_can_be_changed(door: Door, method: str) -> None:
    status, headers, body = await door.ask("/admin/v1/pools", method)
    assert (status, json.loads(body)["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in headers["allow"]


async def test_a_reload_says_what_changes_or_what_is_wrong_and_where(door: Door) -> None:
    status, _, body = await door.ask("/admin/v1/reload?dry_run=1", "POST")
    assert (status, json.loads(body)["consequences"]) == (200, ["chat: restarts"])
    status, _, body = await door.ask("/admin/v1/reload", "POST")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (422, "invalid_config")
    assert error["message"] == "slots must be a number. (toque.toml:4:1) slots = 2"


async def test_a_reload_is_no_reading(door: Door) -> None:
    status, headers, _ = await door.ask("/admin/v1/reload")
    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/admin/v1/pools/", "/admin/v1/pools/../../etc"])
async def test_an_unknown_address_is_404_in_the_shape_of_every_error(door: Door, path: str) -> None:
    status, headers, body = await door.ask(path)
    assert status == 404
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert headers["x-request-id"].startswith("adm_")


async def test_a_bug_of_ours_tells_nothing_of_itself(door: Door) -> None:
    status, _, body = await door.ask("/admin/v1/why/org/broken")
    assert status == 500
    assert b"bug" not in body
    assert json.loads(body)["error"]["code"] == "internal_error"


def test_s08_there_is_no_address_that_takes_a_command_or_a_path() -> None:
    app = cast(SameMachine, admin_app(cast(AdminSources, None))).inner
    routes = {
        (route.path, *sorted(route.methods or ())) for route in cast(Starlette, app).routes if isinstance(route, Route)
    }
    assert routes == {
        *((f"/{page}", "GET", "HEAD") for page in ("livez", "metrics")),
        *((f"/admin/v1/{page}", "GET", "HEAD") for page in ("pools", "replicas", "why/{subject:path}", "version")),
        ("/admin/v1/reload", "POST"),
    }


async def test_a_big_page_lets_others_have_their_turn_between_two_families() -> None:
    rendered: list[int] = []

    def families() -> Iterator[bytes]:
        for number in range(3):
            rendered.append(number)
            yield b"x" * TURN_BYTES

    handler = AsgiHandler(scrape_app(lambda: (families(), "text/plain"), lambda: True))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    seen: list[int] = []
    asking = asyncio.create_task(Door(server.port).ask("/metrics"))
    while not asking.done():
        seen.append(len(rendered))
        await asyncio.sleep(0)
    assert len((await asking)[2]) == 3 * TURN_BYTES
    assert {1, 2, 3} <= set(seen)
    await server.close()
    await handler.close()


async def test_what_other_machines_may_ask_is_metrics_and_probes_and_nothing_else() -> None:
    is_ready = [True]
    handler = AsgiHandler(
        scrape_app(lambda: (iter([b"toque_up 1\n"]), "text/plain; version=1.0.0"), lambda: is_ready[0])
    )
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    door = Door(server.port)
    try:
        asked = {path: (await door.ask(path))[0] for path in ("/metrics", "/livez", "/readyz", "/admin/v1/pools", "/")}
        assert asked == {"/metrics": 200, "/livez": 200, "/readyz": 200, "/admin/v1/pools": 404, "/": 404}
        assert (await door.ask("/metrics"))[2] == b"toque_up 1\n"
        is_ready[0] = False
        assert (await door.ask("/readyz"))[0] == 503
        assert (await door.ask("/metrics", "POST"))[0] == 405
    finally:
        await server.close()
        await handler.close()
