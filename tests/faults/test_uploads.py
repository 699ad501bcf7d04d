"""Uploads of any size against a real gateway: whole or not there, memory flat, and whoever breaks a rule is told at once."""

import hashlib
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.service import Service, call, serving, until

SETTINGS = """
[models.chat]
agent = "fake"
"""
MIB = 2**20
FILE_BYTES = 199 * MIB
TYPE = "multipart/form-data; boundary=edge"
BEFORE = (
    b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
)
AFTER = b"\r\n--edge--\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with serving(folder, SETTINGS) as running:
        yield running


def pieces(count: int) -> Iterator[bytes]:
    """Yield a file MiB by MiB, each its own."""
    for number in range(count):
        yield (b"%08d" % number) * (MIB // 8)


def begin_upload(service: Service, content_bytes: int, **fields: str) -> HTTPConnection:
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("content-type", TYPE)
    connection.putheader("content-length", str(len(BEFORE) + content_bytes + len(AFTER)))
    for name, text in fields.items():
        connection.putheader(name, text)
    connection.endheaders()
    return connection


def memory_kb(service: Service, field: str) -> int:
    """Read one of a process's figures: VmRSS, now, or VmHWM, the most so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1])


def stored_pieces(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/jobs.sqlite?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT COUNT(*) FROM pieces").fetchone()[0])


def answer_of(connection: HTTPConnection) -> tuple[int, bytes]:
    with closing(connection):
        answer: HTTPResponse = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.slow
def test_h05_two_hundred_megabytes_go_in_and_out_with_flat_memory(service: Service) -> None:
    before = memory_kb(service, "VmRSS")
    connection = begin_upload(service, FILE_BYTES)
    connection.send(BEFORE)
    digest = hashlib.sha256()
    for piece in pieces(FILE_BYTES // MIB):
        connection.send(piece)
        digest.update(piece)
    connection.send(AFTER)
    status, body = answer_of(connection)
    assert status == 200
    found = re.search(rb'"id":"(file-[0-9a-z]{24})"', body)
    assert found
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    connection.request("GET", f"/v1/files/{found[1].decode()}/content")
    answer = connection.getresponse()
    came = hashlib.sha256()
    while piece := answer.read(MIB):
        came.update(piece)
    connection.close()
    assert came.digest() == digest.digest()
    grown_kb = memory_kb(service, "VmHWM") - before
    print(f"{FILE_BYTES // MIB} MiB up and down: {grown_kb // 1024} MiB of memory at most")
    assert grown_kb < 64 * 1024
    call(service.url, "DELETE", f"/v1/files/{found[1].decode()}")


@pytest.mark.parametrize("expects", [{}, {"expect": "100-continue"}])
def test_c10_a_file_that_is_too_large_is_refused_before_it_is_read(service: Service, expects: dict[str, str]) -> None:
    status, body = answer_of(begin_upload(service, 201 * MIB, **expects))
    assert status == 413
    assert b"request_too_large" in body


def test_c03_an_upload_that_is_cut_off_leaves_nothing(service: Service, folder: Path) -> None:
    connection = begin_upload(service, 8 * MIB)
    connection.send(BEFORE)
    for piece in pieces(4):
        connection.send(piece)
    until(lambda: stored_pieces(folder) >= 2)
    connection.close()
    until(lambda: stored_pieces(folder) == 0)
    assert b'"data":[]' in call(service.url, "GET", "/v1/files")[2]


def test_a_form_that_is_wrong_at_its_end_leaves_nothing(service: Service, folder: Path) -> None:
    content = b"".join(pieces(2))
    connection = begin_upload(service, len(content))
    connection.send(BEFORE + content + b"\r\n--edge-x\r\n")
    assert answer_of(connection)[0] == 400
    until(lambda: stored_pieces(folder) == 0)


def test_h11_an_endless_preamble_is_refused_while_it_is_still_sent(service: Service) -> None:
    connection = begin_upload(service, 100 * MIB)
    connection.send(b"x" * MIB)
    status, body = answer_of(connection)
    assert status == 400
    assert b"invalid_form" in body


def test_s02_without_a_key_no_byte_of_the_body_is_read(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"tq_live_" + b"a" * 43).hexdigest()
    with serving(tmp_path, f'{SETTINGS}\n[keys.ann]\nsha256 = "{digest}"\n') as guarded:
        status, body = answer_of(begin_upload(guarded, 100 * MIB, expect="100-continue"))
    assert status == 401
    assert b"invalid_api_key" in body


def test_whoever_uploads_in_vain_can_hear_it_with_half_of_it_sent(service: Service) -> None:
    host, port = urlsplit(service.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(
            b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9999999\r\n\r\n"
        )
        client.sendall(b"x" * MIB)
        assert client.recv(100).startswith(b"HTTP/1.1 415")


def test_the_command_line_tells_why_a_file_is_not_taken(service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.jsonl"
    with large.open("wb") as file:
        file.truncate(201 * MIB)
    argv = [sys.executable, "-m", "toque", "batch", "submit", str(large), "--url", service.url]
    submitted = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert submitted.returncode == 1
    assert "larger than" in submitted.stderr
