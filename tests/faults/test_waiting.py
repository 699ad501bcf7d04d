"""O05, O13, C11 and classes: who waits, how long, in which order; and that the counters come back to zero."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, call, request, serving, until

pytestmark = pytest.mark.slow

ONE_SLOT = """
[models.chat]
agent = "fake"
slots = 1
options = { ttft_s = 0.01, token_gap_s = 0.02, tokens = 100000 }
replicas = { minimum_warm = 1, maximum = 1 }
"""


def occupied(service: Service) -> Any:
    """A stream that holds the only slot until it is closed."""
    stream = service.stream()
    next(stream.events())
    return stream


def waiting(service: Service) -> int:
    pool = service.pool()
    return int(pool["waiting_interactive"] + pool["waiting_batch"])


def ask(
    service: Service, headers: Mapping[str, str] | None = None, **fields: Any
) -> tuple[int, Mapping[str, str], Any]:
    status, answered, body = call(service.url, "POST", "/v1/chat/completions", request(max_tokens=2, **fields), headers)
    return status, answered, json.loads(body)


def test_o13_whoever_waited_too_long_is_told_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, f"{ONE_SLOT}queue = {{ wait_s_max = 0.5 }}\n") as service:
        stream = occupied(service)
        status, headers, body = ask(service)
        assert (status, body["error"]["code"]) == (503, "queue_timeout")
        assert 1 <= int(headers["retry-after"]) <= 60
        assert not was_dispatched(service, headers)
        stream.close()
        service.idle()
        assert ask(service)[0] == 200


def test_c11_a_deadline_that_passes_in_the_line_is_kept_and_nothing_is_started(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service:
        stream = occupied(service)
        status, headers, body = ask(service, {"x-toque-timeout-ms": "400"})
        assert (status, body["error"]["code"]) == (504, "deadline_exceeded")
        assert not was_dispatched(service, headers)
        assert waiting(service) == 0
        stream.close()


def test_c11_a_deadline_that_passes_in_the_middle_frees_the_slot(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service:
        body = request()
        status, _, answer = call(service.url, "POST", "/v1/chat/completions", body, {"x-toque-timeout-ms": "400"})
        assert (status, json.loads(answer)["error"]["code"]) == (504, "deadline_exceeded")
        service.idle()


@pytest.mark.parametrize("sent", ["0", "-5", "soon", "1e3", "9" * 30])
def test_c11_a_deadline_that_is_no_number_of_milliseconds_is_refused(tmp_path: Path, sent: str) -> None:
    with serving(tmp_path, ONE_SLOT) as service:
        status, _, body = ask(service, {"x-toque-timeout-ms": sent})
        assert (status, body["error"]["param"]) == (400, "x-toque-timeout-ms")


def test_batch_waits_for_interactive_and_still_moves(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service, ThreadPoolExecutor(8) as clients:
        stream = occupied(service)
        answers = [clients.submit(ask, service, service_tier="flex") for _ in range(3)]
        until(lambda: service.pool()["waiting_batch"] == 3)
        answers += [clients.submit(ask, service, service_tier="default") for _ in range(3)]
        until(lambda: service.pool()["waiting_interactive"] == 3)
        stream.close()
        assert [answer.result(30)[0] for answer in answers] == [200] * 6
        assert [line["class"] for line in served(service, 6)] == ["interactive"] * 3 + ["batch"] * 3


def test_those_who_wait_are_served_in_the_order_they_came(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_SLOT) as service, ThreadPoolExecutor(8) as clients:
        stream = occupied(service)
        answers = []
        for number in range(5):
            answers.append(clients.submit(ask, service))
            until(lambda count=number + 1: waiting(service) == count)
        stream.close()
        replies = [answer.result(30) for answer in answers]
        assert [status for status, _, _ in replies] == [200] * 5
        came = [headers["x-request-id"] for _, headers, _ in replies]
        assert [line["request_id"] for line in served(service, 5)] == came


def test_after_everything_ended_in_every_way_the_gauges_are_at_zero(tmp_path: Path) -> None:
    with serving(tmp_path, f"{ONE_SLOT}queue = {{ length_max = 4, wait_s_max = 0.3 }}\n") as service:
        stream = occupied(service)
        with ThreadPoolExecutor(12) as clients:
            answers = [clients.submit(ask, service) for _ in range(12)]
            assert {answer.result(30)[0] for answer in answers} == {503}
        stream.close()
        service.idle()
        assert ask(service)[0] == 200
        service.idle()
        values = metrics(service)
        for gauge in ("toque_requests_in_flight", "toque_requests_waiting", "vllm:num_requests_running"):
            found = {series: value for series, value in values.items() if series.startswith(gauge)}
            assert found
            assert not any(found.values())
        ended = {series: value for series, value in values.items() if series.startswith("toque_requests_total")}
        assert sum(ended.values()) == 14
        outcomes = ("ok", "abandoned", "queue_full", "queue_timeout")
        counts = {name: sum(value for series, value in ended.items() if f'"{name}"' in series) for name in outcomes}
        assert counts == {"ok": 1, "abandoned": 1, "queue_full": 8, "queue_timeout": 4}


def metrics(service: Service) -> dict[str, float]:
    page = call(service.admin_url, "GET", "/metrics")[2].decode()
    lines = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in lines}


def was_dispatched(service: Service, headers: Mapping[str, str]) -> bool:
    life = service.why(headers["x-request-id"])["life"]
    return any("dispatched" in step["what"] for step in life)


def served(service: Service, count: int) -> list[Any]:
    """The access lines of the requests that were answered, in the order they ended."""

    def lines() -> list[Any]:
        entries = (json.loads(line) for line in service.errors if line.startswith("{"))
        return [entry for entry in entries if entry["outcome"] == "ok" and entry["replica"]]

    until(lambda: len(lines()) >= count)
    return lines()
