"""Recorded traffic: what it holds, what it never holds, and that the simulator reads it back."""

import json
from pathlib import Path

from toque.records.recorder import TrafficLine
from toque.records.served import Served
from toque.sim.workload.trace import read_trace

SALT = b"0123456789abcdef"


def _served(ticket: int = 1, tenant: str = "alice", duration_us: int = 2_000_000) -> Served:
    return Served(
        "req-secret",
        "/v1/chat/completions",
        200,
        "ok",
        tenant=tenant,
        model="chat",
        service_class="batch",
        ticket=ticket,
        duration_us=duration_us,
        prompt_tokens=12,
        output_tokens=24,
    )


def test_a_line_has_lengths_times_and_class_and_hides_who_it_was() -> None:
    line = TrafficLine(SALT)(1_800_000_000.5, _served())
    assert json.loads(line)["class"] == "batch"
    assert json.loads(line)["output_tokens"] == 24
    for private in (b"alice", b"req-secret"):
        assert private not in line


def test_one_tenant_has_one_hash_within_a_run_and_another_in_the_next() -> None:
    line, later = TrafficLine(SALT), TrafficLine(SALT[::-1])
    tenants = [json.loads(made)["tenant"] for made in (line(0, _served()), line(1, _served()), later(2, _served()))]
    assert tenants[0] == tenants[1] != tenants[2]
    assert json.loads(line(0, _served(tenant="")))["tenant"] == ""
    assert json.loads(line(0, _served(tenant="bob")))["tenant"] != tenants[0]


def test_what_never_became_a_ticket_is_not_recorded() -> None:
    assert TrafficLine(SALT)(0, _served(ticket=0)) == b""


def test_the_simulator_reads_what_was_recorded_in_order_of_arrival(tmp_path: Path) -> None:
    path, line = tmp_path / "traffic.jsonl", TrafficLine(SALT)
    path.write_bytes(
        line(1_800_000_010.0, _served(duration_us=1_000_000)) + line(1_800_000_011.0, _served(duration_us=5_000_000))
    )
    assert [(round(arrival.at, 3), arrival.prompt_tokens) for arrival in read_trace(path)] == [(0.0, 12), (3.0, 12)]
