"""Traces: every usual shape of a file is read, and what is wrong with one is told with its line and a way out."""

import gzip
import random
from pathlib import Path

import pytest

from toque.model.errors import ConfigError
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival
from toque.sim.workload.named import SHIPPED, shipped_names
from toque.sim.workload.order import DISORDER_S, in_order
from toque.sim.workload.trace import read_trace


def _read(folder: Path, content: str | bytes, name: str = "t.csv") -> list[Arrival]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_trace(path))


def _fails(folder: Path, content: str | bytes, name: str = "t.csv") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        _read(folder, content, name)
    assert caught.value.fix
    return caught.value


def test_times_count_from_the_first_row_and_lengths_are_tokens(tmp_path: Path) -> None:
    read = _read(tmp_path, "arrival_s,prompt_tokens,output_tokens\n10.5,7,3\n11.0,9,1\n")
    assert read == [Arrival(0.0, 7, 3), Arrival(0.5, 9, 1)]


def test_gzip_is_known_by_its_content_whatever_the_name(tmp_path: Path) -> None:
    assert _read(tmp_path, gzip.compress(b"arrival_s\n0\n2\n"), "t.csv") == [Arrival(0.0), Arrival(2.0)]


def test_azures_own_columns_and_timestamps_are_understood(tmp_path: Path) -> None:
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5000000,374,44\n2023-11-17 00:00:01.0,396,109\n"
    )
    assert _read(tmp_path, text) == [Arrival(0.0, 374, 44), Arrival(1.5, 396, 109)]


def test_offsets_of_iso_times_count(tmp_path: Path) -> None:
    text = "time\n2024-02-29T12:00:00Z\n2024-02-29T13:00:01+01:00\n2024-02-29T07:00:02-05:00\n"
    assert [arrival.at for arrival in _read(tmp_path, text)] == [0.0, 1.0, 2.0]


def test_tenants_and_classes_are_kept_and_further_columns_ignored(tmp_path: Path) -> None:
    text = "arrival_s,colour,client,class\n0,red,7,batch\n1,blue,8,interactive\n"
    batch, interactive = _read(tmp_path, text)
    assert (batch.tenant, batch.service_class) == ("7", ServiceClass.BATCH)
    assert (interactive.tenant, interactive.service_class) == ("8", ServiceClass.INTERACTIVE)


def test_a_trace_says_which_answers_are_wanted_whole(tmp_path: Path) -> None:
    streamed, whole, unsaid = _read(tmp_path, "arrival_s,stream\n0,true\n1,false\n2,\n")
    assert [one.is_whole for one in (streamed, whole, unsaid)] == [False, True, False]


def test_priorities_and_shares_are_kept_and_missing_ones_are_usual(tmp_path: Path) -> None:
    plain, urgent = _read(tmp_path, "arrival_s,priority,share\n0,3,1\n1,0,2.5\n")
    assert plain == Arrival(0.0)
    assert (urgent.priority, urgent.share) == (0, 2.5)


def test_json_lines_are_read_like_csv(tmp_path: Path) -> None:
    text = '{"arrival_s": 0, "prompt_tokens": 5, "output_tokens": 2}\n\n{"arrival_s": 3.5, "prompt_tokens": null}\n'
    assert _read(tmp_path, text, "anything") == [Arrival(0.0, 5, 2), Arrival(3.5, 0, 1)]


def test_logs_of_openai_answers_are_read_whatever_order_they_ended_in(tmp_path: Path) -> None:
    late = '{"id":"a","created":1700000009,"usage":{"prompt_tokens":5,"completion_tokens":2},"user":"u"}\n'
    early = '{"response":{"body":{"created":1700000004,"usage":{"prompt_tokens":6,"completion_tokens":3}}}}\n'
    assert _read(tmp_path, late + early) == [Arrival(0.0, 6, 3), Arrival(5.0, 5, 2, "u")]


def test_toques_own_access_lines_are_turned_back_into_arrivals(tmp_path: Path) -> None:
    line = (
        '{{"time":"2026-01-01T00:00:{end:06.3f}+00:00","status":{status},"tenant":"t","class":"interactive",'
        '"duration_ms":{duration},"prompt_tokens":3,"output_tokens":4}}\n'
    )
    text = line.format(end=10, status=200, duration=1000) + line.format(end=12, status=503, duration=5000)
    text += line.format(end=13, status=401, duration=1)
    assert _read(tmp_path, text) == [Arrival(0.0, 3, 4, "t"), Arrival(2.0, 3, 4, "t")]


def test_order_is_restored_within_the_longest_request_only() -> None:
    times = [0.0, 500.0, 100.0, 1200.0, 590.0, 1300.0]
    assert [arrival.at for arrival in in_order(map(Arrival, times))] == [0.0, 100.0, 500.0, 590.0, 1200.0, 1300.0]
    too_late = [0.0, DISORDER_S + 200, DISORDER_S + 201, 100.0]
    assert [arrival.at for arrival in in_order(map(Arrival, too_late))][:2] == [0.0, 100.0]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "no requests"),
        ("arrival_s,prompt_tokens\n", 1, "no requests"),
        ("prompt_tokens,output_tokens\n1,2\n", 1, "no column of times among 'prompt_tokens, output_tokens'"),
        ("arrival_s\n0\n5\n4\n", 4, "goes back by 1 s"),
        ("arrival_s\n-1\n5\n", 2, "negative"),
        ("arrival_s\nnan\n", 2, "not a finite number"),
        ("arrival_s\n0\ninf\n", 3, "not a finite number"),
        ("arrival_s\nsoon\n", 2, "'soon' is no time"),
        ("time\n2024-13-01T00:00:00\n", 2, "no time of any day"),
        ("arrival_s\n1700000000000\n", 2, "milliseconds"),
        ("arrival_s,prompt_tokens\n0,many\n", 2, "'many' is no number of tokens"),
        ("arrival_s,prompt_tokens\n0,nan\n", 2, "'nan' is no number of tokens"),
        ("arrival_s,prompt_tokens\n0,-4\n", 2, "-4 is no number of tokens"),
        ("arrival_s,priority\n0,8\n", 2, "'8' is no priority from 0 to 7"),
        ("arrival_s,share\n0,half\n", 2, "'half' is no share above 0"),
        ("arrival_s,share\n0,0\n", 2, "'0' is no share above 0"),
        ("arrival_s,prompt_tokens\n0,1\n1\n", 3, "1 columns where 2 are needed"),
        ('{"arrival_s": 0}\n{"prompt_tokens": 3}\n', 2, "no time"),
        ('{"arrival_s": 1}\n{"arrival_s": 0}\n', 2, "goes back"),
        ('{"arrival_s": 0}\n{"arrival\n', 2, "no JSON object"),
        ('{"arrival_s": true}\n', 1, "True is no time"),
        ('[{"arrival_s": 0}]', 1, "JSON array"),
        (b"\x7fELF\x02\x01\x01\0\0", 1, "binary"),
        (b"arrival_s\n0\n\xff\xfe\xfa\n", 1, "not UTF-8 text"),
        (gzip.compress(b"\0\1\2", mtime=0), 1, "binary"),  # the same name in every process that collects
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, content: str | bytes, line: int, message: str
) -> None:
    error = _fails(tmp_path, content)
    assert message in error.message
    assert error.where == f"{tmp_path / 't.csv'}:{line}"


def test_a_truncated_gzip_is_told_after_the_rows_that_are_whole(tmp_path: Path) -> None:
    chance = random.Random(3)
    whole = gzip.compress(b"arrival_s\n" + b"".join(b"%.6f\n" % (i + chance.random()) for i in range(5000)))
    error = _fails(tmp_path, whole[: len(whole) // 2], "t.csv.gz")
    assert "ends early or is damaged" in error.message
    assert int(error.where.rpartition(":")[2]) > 10


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        list(read_trace(tmp_path / "nothing.csv"))


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_trace_is_whole(name: str) -> None:
    counts = {"azure-conv-2023": 19_366, "azure-code-2023": 8_819, "servegen-day": 45_569}
    assert sum(1 for _ in read_trace(SHIPPED / f"{name}.csv.gz")) == counts[name]
