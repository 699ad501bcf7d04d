"""O10 to O12: short of memory, of time, of descriptors; and back."""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.screen import Screen
from tests.service import Service, call, launched, request, serving, until

pytestmark = pytest.mark.slow

CHAT = '[models.chat]\nagent = "fake"\nslots = 64\noptions = { token_gap_s = 0.02, tokens = 5 }\n'
HEAD = 'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'


def stage(service: Service) -> int:
    """The stage; -1 while there is no descriptor even for whoever asks."""
    try:
        return int(service.get("/admin/v1/pools")["stage"])
    except (OSError, AssertionError):
        return -1


def resident_bytes(service: Service) -> int:
    return int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]) * 4096


def reach(folder: Path, service: Service, wanted: int, ratio: float) -> None:
    """Have the gateway find its memory at this share of what it may have; once more where it grew meanwhile."""
    for _ in range(10):
        bound = int(resident_bytes(service) / ratio)
        settings = f"[overload]\nmemory_bytes_max = {bound}\nmemory_calm_s = 0.5\n"
        (folder / "toque.toml").write_text(HEAD + CHAT + settings)
        assert call(service.admin_url, "POST", "/admin/v1/reload", b"")[0] == 200
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            if stage(service) == wanted:
                return
            threading.Event().wait(0.05)
    pytest.fail(f"stage {wanted} was not reached")


def ask(service: Service, **fields: Any) -> tuple[int, Mapping[str, str], Any]:
    status, headers, body = call(service.url, "POST", "/v1/chat/completions", request(**fields))
    return status, headers, json.loads(body)


def test_o10_the_gateway_gives_up_one_thing_after_the_other_and_takes_all_of_it_back(tmp_path: Path) -> None:
    with serving(tmp_path, CHAT) as service:
        reach(tmp_path, service, 1, 0.935)
        status, headers, _ = ask(service)
        assert (status, headers["connection"]) == (200, "close")
        reach(tmp_path, service, 2, 0.955)
        status, headers, body = ask(service, service_tier="flex")
        assert (status, body["error"]["code"]) == (503, "server_is_overloaded")
        assert int(headers["retry-after"]) >= 1
        assert ask(service)[0] == 200
        screen, why = Screen(), Screen()
        assert screen.run("ps", "--admin", service.admin_url) == 0
        assert "overload stage 2, batch is refused: memory at 9" in screen.shown
        assert why.run("why", "chat", "--admin", service.admin_url) == 0
        assert "ago: overload stage 1, no keep-alive: memory at 9" in why.shown
        reach(tmp_path, service, 4, 1.2)
        late = socket.create_connection((urlsplit(service.url).hostname, urlsplit(service.url).port))
        late.sendall(b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(100)
        reach(tmp_path, service, 0, 0.5)
        late.settimeout(10)
        assert late.recv(100).startswith(b"HTTP/1.1 200 OK")
        late.close()
        status, headers, _ = ask(service, service_tier="flex")
        assert (status, "connection" in headers) == (200, False)


def test_o11_a_loop_that_stands_still_sheds_and_still_says_that_it_lives(tmp_path: Path) -> None:
    with serving(tmp_path, CHAT + "[overload]\nloop_lag_s_max = 0.2\n") as service:
        for _ in range(2):  # the loop is late twice in a row
            service.process.send_signal(signal.SIGSTOP)
            until(lambda: Path(f"/proc/{service.process.pid}/stat").read_text().split()[2] == "T")
            stopped_at = time.monotonic()
            until(lambda begun=stopped_at: time.monotonic() > begun + 0.6)
            service.process.send_signal(signal.SIGCONT)
        begun = time.monotonic()
        assert call(service.url, "GET", "/livez")[0] == 200
        assert time.monotonic() - begun < 1.0
        status, headers, body = until(
            lambda: next((one for one in [ask(service, service_tier="flex")] if one[0] != 200), None)
        )
        assert (status, body["error"]["code"]) == (503, "server_is_overloaded")
        assert "connection" not in headers, "whoever had to connect anew would make it later"
        until(lambda: ask(service)[0] == 200)
        stages = service.why("chat")["stages"]
        assert stages[0]["reason"].startswith("event loop late by ")
        _, _, metrics = call(service.admin_url, "GET", "/metrics")
        assert b"\ntoque_event_loop_lag_seconds " in metrics


def test_o12_without_descriptors_nobody_crashes_and_service_is_back_at_once(tmp_path: Path) -> None:
    slow = '[models.slow]\nagent = "fake"\nslots = 200\noptions = { ttft_s = 600 }\n'
    (tmp_path / "toque.toml").write_text(HEAD + CHAT + slow + "[overload]\nopen_files_ratio = 0.5\n")
    source = str(Path(__file__).parents[2])
    script = 'ulimit -n 160; exec "$0" -m toque up --json --config toque.toml'
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{source}:{source}/src", "XDG_CACHE_HOME": str(tmp_path)}
    with launched(["/bin/sh", "-c", script, sys.executable], tmp_path, environment) as service:
        service.listening()
        service.ready(name="slow")
        service.ready()
        replicas = service.pids()
        took_s = sorted(exhausted(service, times) for times in (1, 2, 3))
        assert took_s[1] < 1.0, "two looks a quarter of a second apart, on a machine that may be busy once"
        assert service.pids() == replicas
        until(lambda: stage(service) == 0)
        assert service.stop() == 0


def exhausted(service: Service, times: int) -> float:
    """Take all descriptors, for the nth time; return the seconds from their release to the next good answer."""
    crowd = [busy(service) for _ in range(200)]
    until(lambda: sum("open files at" in reason for reason in entered(service, 4)) >= times)
    assert any(answer(one).startswith(b"HTTP/1.1 503") for one in crowd)
    for one in crowd:
        one.close()
    begun = time.monotonic()
    assert until(lambda: answered(service)) == 200
    return time.monotonic() - begun


def entered(service: Service, wanted: int) -> list[str]:
    """Why this stage was entered, each time; nothing while there is no descriptor even for whoever asks."""
    try:
        return [one["reason"] for one in service.why("chat")["stages"] if one["stage"] == wanted]
    except (OSError, AssertionError):
        return []


def answered(service: Service) -> int:
    """The status of an answer that was not a refusal of the first moments; 0 while there is none."""
    try:
        status = ask(service)[0]
    except OSError:
        return 0
    return 0 if status == 503 else status


def busy(service: Service) -> socket.socket:
    """A client that asks something nobody will answer."""
    client = socket.create_connection((urlsplit(service.url).hostname, urlsplit(service.url).port))
    body = request(model="slow")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\ncontent-length: {len(body)}\r\n"
    client.sendall(head.encode() + b"content-type: application/json\r\n\r\n" + body)
    return client


def answer(client: socket.socket) -> bytes:
    """What has come for this client so far."""
    client.settimeout(0.01)
    try:
        return client.recv(1000)
    except (TimeoutError, ConnectionError):
        return b""
