"""Access lines: JSON for programs, words for people, and nothing that a client wrote but its checked request id."""

import json

from toque.records.access_line import json_line, plain_line
from toque.records.served import Served

SERVED = Served(
    "req-1",
    "/v1/chat/completions",
    200,
    "ok",
    tenant="alice",
    model="chat",
    service_class="interactive",
    replica=2,
    attempts=2,
    queue_wait_us=1_300_000,
    duration_us=2_000_000,
    output_tokens=24,
)


def test_a_program_reads_one_json_object_with_its_time() -> None:
    line = json_line(1_800_000_000.5, SERVED)
    assert line.count(b"\n") == 1
    entry = json.loads(line)
    assert entry["time"] == "2027-01-15T08:00:00.500+00:00"
    assert (entry["class"], entry["queue_wait_ms"], entry["duration_ms"]) == ("interactive", 1300.0, 2000.0)


def test_a_person_reads_what_is_worth_a_word() -> None:
    line = plain_line(1_800_000_000.5, SERVED).decode()
    told = line.split(" ", 1)[1]
    assert told == "chat: 200 ok, 24 tokens, 2.00 s, waited 1.30 s, 2 attempts, replica 2  req-1\n"


def test_a_person_reads_of_a_refusal_where_and_why() -> None:
    line = plain_line(0.0, Served("req-2", "/v1/chat/completions", 404, "model_not_found")).decode()
    assert line.split(" ", 1)[1] == "/v1/chat/completions: 404 model_not_found  req-2\n"
