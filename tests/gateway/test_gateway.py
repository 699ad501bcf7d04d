"""The gateway's door and cold routes: keys, forms, paths, health, draining, records."""

import asyncio
import hashlib
import io
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.scripted import HELLO, Exchange, answer_in_tokens, answer_plainly, get, post, scene
from tests.picker import Picked, picked
from tests.wire.raw import raw, until
from toque.model.resources import Resources
from toque.model.service_spec import KeySpec
from toque.model.spec import ColdStart
from toque.model.ticket import ServiceClass
from toque.model.view import FleetView, PoolView, ReplicaState, ReplicaView
from toque.records.access import AccessLog
from toque.records.exposition import ToqueCollector
from toque.records.metrics import Metrics
from toque.records.served import Served

KEY = "tq_live_secret"
KEYS = (
    KeySpec("alice", hashlib.sha256(KEY.encode()).hexdigest().upper()),
    KeySpec("bob", hashlib.sha256(b"bobs").hexdigest(), frozenset({"other"}), "batch"),
)


def view(*replicas: ReplicaState) -> FleetView:
    cold_start = ColdStart(load_s=2.5)
    pool = PoolView(
        name="chat",
        condition="ok",
        reason="",
        replicas=tuple(
            ReplicaView(number, state, 0, 2, 0.0, None, None, Resources(), cold_start)
            for number, state in enumerate(replicas)
        ),
        in_flight=1,
        waiting_interactive=2,
        waiting_batch=3,
        slots=2,
        minimum_warm=1,
        maximum=4,
        cold_start=cold_start,
        decision=None,
    )
    return FleetView(0.0, draining=False, capacity=Resources(), free=Resources(), pools=(pool,))


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "open_to_all"),
    [
        ("/livez", True),
        ("/readyz", True),
        ("/readyz?verbose", True),
        ("/health", False),
        ("/version", False),
        ("/v1/models", False),
        ("/v1/models/chat", False),
        ("/v1/chat/completions", False),
        ("/metrics", False),
        ("/nothing", False),
        ("/livez/", False),
        ("//livez", False),
        ("/LIVEZ", False),
        ("/%6civez", False),
        ("http://toque.test/livez", False),
    ],
)
async def test_s02_without_a_key_only_probes_answer_and_nothing_says_what_exists(
    path: str, *, open_to_all: bool
) -> None:
    async with scene(keys=KEYS) as story:
        for fields in ("", "Authorization: Bearer wrong\r\n", "Authorization: Basic eDp5\r\n", "x-api-key: wrong\r\n"):
            story.client.send(get(path, fields))
            reply = await story.client.answer()
            assert reply.status == (200 if open_to_all else 401)
            if not open_to_all:
                assert (reply.error["type"], reply.error["code"]) == ("authentication_error", "invalid_api_key")


@pytest.mark.parametrize(
    "fields", [f"Authorization: Bearer {KEY}\r\n", f"authorization: bearer  {KEY}\r\n", f"x-api-key: {KEY}\r\n"]
)
async def test_a_good_key_passes_and_names_the_tenant(fields: str) -> None:
    async with scene(answer_plainly, keys=KEYS) as story:
        story.ask(HELLO, fields=fields)
        assert (await story.client.answer()).status == 200
        assert story.fleet.tickets[1].tenant == "alice"
        assert "secret" not in story.requests[0].head


async def test_s02_a_connection_that_showed_a_good_key_must_show_it_each_time() -> None:
    wrong = KEY[:-1] + "X"
    async with scene(answer_plainly, keys=KEYS) as story:
        for key, status in ((KEY, 200), (KEY, 200), (wrong, 401), (KEY, 200), (wrong, 401)):
            story.ask(HELLO, fields=f"Authorization: Bearer {key}\r\n")
            assert (await story.client.answer()).status == status
        assert len(story.fleet.tickets) == 3


async def test_a_key_is_held_to_its_models_and_its_class() -> None:
    fields = "Authorization: Bearer bobs\r\n"
    async with scene(answer_plainly, keys=KEYS) as story:
        story.ask(HELLO, fields=fields)
        reply = await story.client.answer()
        assert (reply.status, reply.error["type"], reply.error["code"]) == (
            403,
            "permission_error",
            "model_not_allowed",
        )
        story.ask(HELLO | {"model": "other", "service_tier": "priority"}, fields=fields)
        assert (await story.client.answer()).status == 200
        assert story.fleet.tickets[1].service_class is ServiceClass.BATCH
        story.fleet.pools = view()
        story.client.send(get("/v1/models/chat", fields))
        assert (await story.client.answer()).status == 404


def test_s03_secrets_are_never_compared_with_the_equals_sign() -> None:
    source = (Path(__file__).parents[2] / "src" / "toque" / "gateway" / "auth.py").read_text()
    assert "compare_digest" in source
    assert "==" not in source


# ---- forms and paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (post(HELLO).replace(b"application/json", b"text/plain"), 415, "unsupported_media_type"),
        (post(HELLO).replace(b"Content-Type: application/json\r\n", b""), 415, "unsupported_media_type"),
        (post(HELLO, fields="Content-Encoding: gzip\r\n"), 415, "unsupported_media_type"),
        (post(HELLO, fields="x-toque-timeout-ms: soon\r\n"), 400, "invalid_value"),
        (post(HELLO, fields="x-toque-timeout-ms: 0\r\n"), 400, "invalid_value"),
        (post(HELLO, "/v1/chat/completions/"), 404, "not_found"),
        (post(HELLO, "/v1//chat/completions"), 404, "not_found"),
        (post(HELLO, "/v1/chat%2fcompletions"), 404, "not_found"),
        (post(HELLO, "/V1/chat/completions"), 404, "not_found"),
        (post(HELLO, "http://evil/v1/chat/completions"), 404, "not_found"),
        (get("/v1/chat/completions"), 405, "method_not_allowed"),
        (get("/v1/models", method="DELETE"), 405, "method_not_allowed"),
        (get("/", method="OPTIONS"), 404, "not_found"),
        (get("/v1/models", method="TRACE"), 405, "method_not_allowed"),
    ],
)  # fmt: skip
async def test_h03_and_h12_other_forms_and_paths_are_refused(request_bytes: bytes, status: int, code: str) -> None:
    async with scene() as story:
        story.client.send(request_bytes)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (status, code)
        assert ("allow" in reply.fields) is (status == 405)
    assert story.fleet.tickets == {}
    assert len(story.records.served) == 1


async def test_json_with_a_charset_and_a_query_on_a_cold_route_pass() -> None:
    async with scene(answer_plainly) as story:
        story.client.send(post(HELLO).replace(b"application/json", b"Application/JSON; charset=utf-8"))
        assert (await story.client.answer()).status == 200
        story.client.send(get("/v1/models?limit=2"))
        assert (await story.client.answer()).status == 200


@pytest.mark.parametrize("sent", ["x" * 129, "a b", "a/b", "ü"])
async def test_s15_a_strange_request_id_is_replaced(sent: str) -> None:
    async with scene(answer_plainly) as story:
        story.client.send(post(HELLO, fields="x-request-id: @@\r\n").replace(b"@@", sent.encode()))
        reply = await story.client.answer()
        assert reply.fields["x-request-id"].startswith("req-")
        assert f"x-request-id: {reply.fields['x-request-id']}\r\n" in story.requests[0].head


async def test_only_the_id_and_a_well_formed_trace_reach_the_replica() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with scene(answer_plainly) as story:
        for sent, passes in ((trace, True), (trace.upper(), False), (trace + "-x", False)):
            story.ask(HELLO, fields=f"traceparent: {sent}\r\ncookie: a=b\r\nx-forwarded-host: evil\r\n")
            assert (await story.client.answer()).status == 200
            head = story.requests[-1].head.lower()
            assert ("traceparent" in head) is passes
            assert "cookie" not in head
            assert "forwarded" not in head


async def test_h05_too_large_a_body_is_refused_with_the_error_contract() -> None:
    async with scene(body_bytes_max=1024) as story:
        story.ask(HELLO | {"x": "y" * 2000})
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (413, "request_too_large")
        assert reply.fields["x-request-id"].startswith("req-")
    assert story.records.served[0].status == 413


# ---- cold routes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "state"),
    [((), "cold"), ((ReplicaState.LOADING,), "loading"), ((ReplicaState.READY, ReplicaState.STARTING), "ready")],
)
async def test_models_are_listed_with_their_state(states: tuple[ReplicaState, ...], state: str) -> None:
    async with scene() as story:
        story.fleet.pools = view(*states)
        story.client.send(get("/v1/models") + get("/v1/models/chat") + get("/v1/models/none") + get("/startupz"))
        listed = json.loads((await story.client.answer()).body)
        assert listed["object"] == "list"
        shown = json.loads((await story.client.answer()).body)
        assert listed["data"] == [shown]
        assert (shown["id"], shown["object"], shown["owned_by"]) == ("chat", "model", "toque")
        assert (shown["x_toque"]["state"], shown["x_toque"]["waiting"]) == (state, 5)
        assert (await story.client.answer()).error["code"] == "model_not_found"
        assert (await story.client.answer()).status == (200 if state == "ready" else 503)


async def test_the_version_is_told_and_head_has_no_body() -> None:
    async with scene() as story:
        story.client.send(get("/version") + get("/version", method="HEAD"))
        shown = await story.client.answer()
        assert set(json.loads(shown.body)) == {"version"}
        assert (await story.client.head()).fields["content-length"] == str(len(shown.body))


# ---- draining --------------------------------------------------------------------------------------------------------


async def until_refused(port: int) -> None:
    """Connect until nothing listens any more."""
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return
            writer.close()


async def test_l01_draining_says_so_refuses_the_new_and_lets_streams_finish() -> None:
    go_on = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(b'data: {"choices":[]}\n\n')
        await go_on.wait()
        await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.write(b"0\r\n\r\n")

    async with scene(slow) as story, raw(story.gateway.port) as second, raw(story.gateway.port) as third:
        port = story.gateway.port
        story.ask(HELLO | {"stream": True})
        await story.client.head()
        assert await story.client.chunk() == b'data: {"choices":[]}\n\n'
        draining = asyncio.create_task(story.gateway.drain(0.1, 5.0))
        await asyncio.sleep(0)
        second.send(get("/readyz"))
        third.send(post(HELLO))
        for client in (second, third):
            reply = await client.answer()
            assert (reply.status, reply.error["code"]) == (503, "draining")
            assert reply.fields["connection"] == "close"
        await until_refused(port)
        go_on.set()
        assert await story.client.chunk() == b"data: [DONE]\n\n"
        assert await story.client.chunk() == b""
        await draining


async def test_l02_what_does_not_finish_in_its_grace_is_told() -> None:
    async def never_end(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(b'data: {"choices":[]}\n\n')
        await exchange.gone()

    async with scene(never_end, answer_plainly) as story:
        story.ask(HELLO | {"stream": True})
        await story.client.head()
        await story.client.chunk()
        draining = asyncio.create_task(story.gateway.drain(0.0, 0.05))
        assert json.loads((await story.client.chunk()).removeprefix(b"data: "))["error"]["code"] == "draining"
        await draining
    assert story.records.served[0].outcome == "draining"


async def test_closing_cuts_a_drain_short() -> None:
    async with scene() as story:
        draining = asyncio.create_task(story.gateway.drain(60.0, 60.0))
        await asyncio.sleep(0)
        await story.gateway.close()
        async with asyncio.timeout(5):
            await draining


# ---- records ---------------------------------------------------------------------------------------------------------


async def test_every_request_becomes_one_line_of_json() -> None:
    sink = io.BytesIO()
    log = AccessLog(sink, lambda: 1_800_000_000.5)
    log.open()
    log.write(Served("req-1", "/v1/chat/completions", 200, "ok", service_class="batch", ttft_us=1500))
    log.write(Served("req-2", "_other", 404, "not_found"))
    await log.close()
    first, second = (json.loads(line) for line in sink.getvalue().splitlines())
    assert first["time"] == "2027-01-15T08:00:00.500+00:00"
    assert (first["request_id"], first["status"], first["class"], first["ttft_ms"]) == ("req-1", 200, "batch", 1.5)
    assert second["outcome"] == "not_found"
    assert log.dropped == 0


async def test_s12_a_line_is_bounded_and_a_sink_that_fails_stops_nothing() -> None:
    sink = io.BytesIO()
    log = AccessLog(sink, lambda: 0.0)
    log.open()
    log.write(Served("x" * 5000, "", 200, "ok"))
    log.flush()
    await until(sink.getvalue)
    assert json.loads(sink.getvalue())["too_long"]
    sink.close()
    log.write(Served("y", "", 200, "ok"))
    await log.close()
    assert log.dropped == 1


@pytest.mark.parametrize(
    ("body", "status", "model"),
    [
        (HELLO | {"n": 1000}, 400, "chat"),
        (HELLO | {"store": True}, 400, "chat"),
        (HELLO | {"model": "other", "n": "x"}, 400, "other"),
        (HELLO | {"model": "nobody's", "n": "x"}, 400, ""),
        ({"messages": []}, 400, ""),
        (HELLO | {"model": "other"}, 403, "other"),
    ],
)
async def test_a_refusal_is_counted_for_the_model_and_class_it_was_meant_for(
    body: object, status: int, model: str
) -> None:
    key = KeySpec("night-job", hashlib.sha256(b"k").hexdigest(), frozenset({"chat"}), "batch")
    async with scene(answer_plainly, keys=(key,)) as story:
        story.ask(body, fields="x-api-key: k\r\n")
        assert (await story.client.answer()).status == status
        (served,) = story.records.served
    assert (served.model, served.service_class, served.tenant) == (model, "batch", "night-job")


async def test_metrics_are_rendered_for_prometheus_with_bounded_labels() -> None:
    async with scene(answer_in_tokens) as story:
        story.ask(HELLO | {"stream": True})
        await story.client.answer()
        for number in range(50):
            story.ask(HELLO | {"model": f"random-{number}"})
            assert (await story.client.answer()).status == 404
        story.fleet.pools = view(ReplicaState.READY, ReplicaState.LOADING)
        registry = CollectorRegistry()
        registry.register(ToqueCollector(story.records, story.fleet.view))
        text = generate_latest(registry).decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["toque_requests_total", "interactive", "chat", "ok", "200"] == 1
    assert samples["toque_requests_total", "interactive", "_unknown", "model_not_found", "404"] == 50
    assert samples["toque_output_tokens_total", "interactive", "chat"] == 4
    assert samples["toque_time_to_first_token_seconds_count", "interactive", "chat"] == 1
    assert samples["toque_replicas", "chat", "ready"] == 1
    assert samples["toque_breakers", "chat", "closed"] == 2
    assert samples["toque_breaker_turns_total", "chat", "ejected"] == 0
    assert samples["toque_requests_waiting", "batch", "chat"] == 3
    assert samples["toque_slots", "chat"] == 2
    assert (
        picked(text)
        == picked(text, {"model_name": "chat"})
        == Picked(running=1, queued=5, cache_ratio=0.5, adapters_max=0)
    )
    assert "random" not in text


def test_a_histogram_counts_up_to_its_bounds() -> None:
    metrics = Metrics()
    for ttft_us in (1000, 5000, 6000, 10_000_000_000):
        metrics.count(Served("a", "b", 200, "ok", "t", "m", "interactive", attempts=1, stream=True, ttft_us=ttft_us))
    cumulated = dict(metrics.models["m", "interactive"].ttft.cumulated())
    assert (cumulated["0.005"], cumulated["0.01"], cumulated["600.0"], cumulated["+Inf"]) == (2, 3, 3, 4)
