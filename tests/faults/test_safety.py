"""S01, S02, S03, S07, S09, S14, S15, S17: who may come in, what they may see, and what strangers cannot make us keep."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.service import Service, call, request, serving, started, until

pytestmark = pytest.mark.slow

ALICE, BOB = "tq_live_alice-of-the-tests", "tq_live_bob-of-the-tests"
FAKE = '[models.chat]\nagent = "fake"\noptions = { tokens = 3 }\n'


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


# ---- S01: the door to the network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_s01_without_keys_the_network_is_not_listened_to_and_both_ways_out_are_told(tmp_path: Path, host: str) -> None:
    (tmp_path / "toque.toml").write_text(FAKE)
    with started(["up", "--listen", f"{host}:0"], tmp_path) as service:
        assert service.process.wait(30) == 2
    told = until(lambda: "".join(service.errors))
    assert "127.0.0.1" in told
    assert "toque key create" in told
    assert "Traceback" not in told


def test_s01_with_a_key_the_network_is_listened_to(tmp_path: Path) -> None:
    (tmp_path / "toque.toml").write_text(f'{FAKE}[keys.alice]\nsha256 = "{digest(ALICE)}"\n')
    with started(["up", "--listen", "0.0.0.0:0", "--admin-listen", "off", "--json"], tmp_path) as service:
        until(lambda: any(a["announcement"] == "Listening" for a in service.announced))


def test_s01_metrics_and_admin_stay_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "toque.toml").write_text(FAKE)
    with started(["up", "--admin-listen", "0.0.0.0:0"], tmp_path) as service:
        assert service.process.wait(30) == 2


# ---- S02, S03: keys --------------------------------------------------------------------------------------------------

KEYS = f"""
{FAKE}
[models.other]
agent = "fake"
[keys.alice]
sha256 = "{digest(ALICE)}"
[keys.bob]
sha256 = "{digest(BOB)}"
models = ["other"]
"""


MANY_MISTAKES = "[limits]\nbad_keys_per_minute_max = 1000\n"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("keys"), KEYS + MANY_MISTAKES) as running:
        until(lambda: {a["model"] for a in running.announced if a["announcement"] == "ModelReady"} == {"chat", "other"})
        yield running


CHAT = "POST /v1/chat/completions"
NOBODY, WRONG = {}, {"authorization": "Bearer tq_live_wrong"}
KNOWN, SCOPED = {"authorization": f"Bearer {ALICE}"}, {"x-api-key": BOB}
TABLE: list[tuple[str, tuple[int, int, int, int]]] = [  # route: nobody, a wrong key, a key for all, a key for `other`
    ("GET /livez", (200, 200, 200, 200)),
    ("GET /readyz", (200, 200, 200, 200)),
    ("GET /health", (401, 401, 200, 200)),
    ("GET /startupz", (401, 401, 200, 200)),
    ("GET /version", (401, 401, 200, 200)),
    ("GET /v1/models", (401, 401, 200, 200)),
    ("GET /v1/models/chat", (401, 401, 200, 404)),
    ("GET /v1/models/none", (401, 401, 404, 404)),
    (CHAT, (401, 401, 200, 403)),
    ("POST /v1/completions", (401, 401, 200, 403)),
    ("POST /v1/embeddings", (401, 401, 404, 404)),
    ("GET /v1/chat/completions", (401, 401, 405, 405)),
    ("DELETE /v1/models/chat", (401, 401, 405, 405)),
    ("GET /metrics", (401, 401, 404, 404)),
    ("GET /admin/v1/pools", (401, 401, 404, 404)),
    ("GET /nothing", (401, 401, 404, 404)),
    ("GET //v1/models", (401, 401, 404, 404)),
    ("GET /v1/%6dodels", (401, 401, 404, 404)),
    ("GET /v1/models/../../livez", (401, 401, 404, 404)),
    ("OPTIONS /v1/models", (401, 401, 405, 405)),
    ("POST /", (401, 401, 404, 404)),
]


BODIES = {
    "/v1/completions": b'{"model":"chat","prompt":"x","max_tokens":2}',
    "/v1/embeddings": b'{"model":"chat","input":"x"}',
}


@pytest.mark.parametrize(("route", "statuses"), TABLE, ids=[route for route, _ in TABLE])
def test_s02_every_route_asks_for_a_key_first(guarded: Service, route: str, statuses: tuple[int, ...]) -> None:
    method, path = route.split()
    body = BODIES.get(path, request()) if method == "POST" else None
    answers = [call(guarded.url, method, path, body, headers) for headers in (NOBODY, WRONG, KNOWN, SCOPED)]
    assert tuple(status for status, _, _ in answers) == statuses
    for status, headers, content in answers:
        assert headers["x-request-id"]
        if status >= 400:
            assert set(json.loads(content)["error"]) == {"message", "type", "param", "code"}


def test_s02_a_wrong_key_learns_nothing_of_which_models_there_are(guarded: Service) -> None:
    answers = [
        call(guarded.url, "POST", "/v1/chat/completions", request(model=name), WRONG)[2] for name in ("chat", "none")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", f"Basic {ALICE}", f"Bearer {ALICE}x", f"Bearer {digest(ALICE)}"]
)
def test_s03_nothing_but_the_key_itself_opens(guarded: Service, header: str) -> None:
    assert call(guarded.url, "GET", "/v1/models", headers={"authorization": header})[0] == 401


def test_s03_no_key_is_written_anywhere(guarded: Service) -> None:
    assert call(guarded.url, "POST", "/v1/chat/completions", request(), KNOWN)[0] == 200
    asked = [
        call(guarded.admin_url, "GET", f"/{page}")[2] for page in ("metrics", "admin/v1/pools", "admin/v1/why/chat")
    ]
    processes = [guarded.process.pid, *guarded.pids()]
    asked += [Path(f"/proc/{pid}/{page}").read_bytes() for pid in processes for page in ("cmdline", "environ")]
    until(lambda: any("chat/completions" in line for line in guarded.errors))
    seen = b"".join(asked).decode("utf-8", "replace") + "".join(guarded.errors) + str(guarded.announced)
    for secret in (ALICE, BOB, digest(ALICE), digest(BOB)):
        assert secret not in seen


def test_s17_bad_keys_are_slowed_down_by_address_and_good_ones_are_served_from_anywhere(tmp_path: Path) -> None:
    def ask(source: str, key: str, **fields: str) -> tuple[int, Mapping[str, str]]:
        connection = HTTPConnection(urlsplit(service.url).netloc, timeout=30, source_address=(source, 0))
        connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}", **fields})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}

    with serving(tmp_path, KEYS) as service:
        statuses = [ask("127.0.0.1", f"wrong-{n}", **{"x-forwarded-for": f"10.0.0.{n}"})[0] for n in range(25)]
        assert statuses == [401] * 20 + [429] * 5
        _, headers = ask("127.0.0.1", "wrong")
        assert 1 <= int(headers["retry-after"]) <= 60
        assert ask("127.0.0.2", "wrong")[0] == 401
        assert ask("127.0.0.2", ALICE)[0] == 200
        assert ask("127.0.0.1", ALICE)[0] == 200


# ---- S07, S09, S14, S15: what a request names ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("open"), FAKE) as running:
        yield running


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "$(id)", "http://169.254.169.254/", "chat\n", "x" * 5000, "chat;ls"]
)
def test_s07_a_model_is_a_name_in_the_settings_and_nothing_else(open_service: Service, name: str) -> None:
    status, _, body = open_service.ask(model=name)
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert name not in body["error"]["message"]


def test_s09_a_page_of_another_site_reaches_neither_metrics_nor_admin(open_service: Service) -> None:
    port = urlsplit(open_service.admin_url).port
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}, {"host": f"evil.example:{port}"}):
        for path in ("/metrics", "/admin/v1/pools", "/nothing"):
            assert call(open_service.admin_url, "GET", path, headers=headers)[0] == 403


def test_s14_strangers_cannot_make_series(open_service: Service) -> None:
    def series() -> set[str]:
        page = call(open_service.admin_url, "GET", "/metrics")[2].decode()
        return {line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#")}

    def misbehave(number: int) -> None:
        name = os.urandom(8).hex()
        open_service.ask(model=name)
        call(open_service.url, "GET", f"/{name}")
        call(open_service.url, "GET", f"/v1/models/{name}", headers={"x-request-id": name, "user-agent": name})
        call(open_service.url, "POST", "/v1/chat/completions", b"{%d" % number)
        open_service.ask(max_tokens=1, user=name)

    misbehave(0)
    known = series()
    for number in range(1, 100):
        misbehave(number)
    assert series() == known
    assert all(name in {"chat", "_unknown"} for line in known for name in _labels(line, "model"))


def _labels(line: str, label: str) -> list[str]:
    return [part.split('"')[1] for part in line.replace("{", ",").split(",") if part.startswith(f"{label}=")]


@pytest.mark.parametrize(("sent", "kept"), [("mine-1.2_3", True), ("x" * 129, False), ("a b", False), ("<b>", False)])
def test_s15_a_request_id_of_the_clients_is_kept_only_if_it_is_harmless(
    open_service: Service, sent: str, kept: bool
) -> None:
    _, headers, _ = call(open_service.url, "GET", "/v1/models", headers={"x-request-id": sent})
    assert (headers["x-request-id"] == sent) is kept


def test_a_second_service_on_the_same_port_says_which_and_what_to_do(open_service: Service, tmp_path: Path) -> None:
    (tmp_path / "toque.toml").write_text(FAKE)
    address = urlsplit(open_service.url).netloc
    with started(["up", "--listen", address, "--admin-listen", "127.0.0.1:0"], tmp_path) as service:
        assert service.process.wait(30) == 2
    told = until(lambda: "".join(service.errors))
    assert f"cannot listen on {address}: Address already in use\n" in told
    assert "fix: " in told


# ---- S13: what was said stays between client and replica -------------------------------------------------------------

CANARY = "the-canary-sings-of-violets"


def test_s13_no_word_of_a_prompt_is_in_any_log_metric_page_or_file(tmp_path: Path) -> None:
    echoing = f'{FAKE}[models.small]\nagent = "fake"\ncontext_tokens = 64\n'
    with serving(tmp_path, f'{echoing}[records]\njournal = "journal"\n') as service:
        said = [{"role": "user", "content": CANARY}]
        asked: list[dict[str, object]] = [
            {},
            {"user": CANARY, "metadata": {CANARY: CANARY}},
            {"model": CANARY},
            {"model": "small"},
            {"n": CANARY},
            {"temperature": 99},
            {"stop": [CANARY] * 9},
            {CANARY: CANARY},
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"http://{CANARY}"}}]}
                ]
            },
        ]
        for fields in asked:
            status, _, body = service.ask(**{"messages": said, **fields})
            assert status == 200 or CANARY not in json.dumps(body), "an error repeats what was asked"
        with closing(service.stream(messages=said)) as stream:
            assert "[DONE]" in list(stream.events())
        broken = call(service.url, "POST", "/v1/chat/completions", f'{{"model":"{CANARY}'.encode())
        lost = call(
            service.url, "GET", f"/v1/{CANARY}?{CANARY}", headers={"user-agent": CANARY, "x-request-id": f" {CANARY}!"}
        )
        assert CANARY not in (broken[2] + lost[2]).decode()
        service.idle()
        pages = ("metrics", "admin/v1/pools", "admin/v1/replicas", "admin/v1/why/chat")
        seen = b"".join(call(service.admin_url, "GET", f"/{page}")[2] for page in pages).decode()
    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    for place in (seen, files, "".join(service.errors), str(service.announced)):
        assert CANARY not in place
