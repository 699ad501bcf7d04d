"""What a model file's header tells, and that no header makes us follow it out of the file (S19, R09)."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from toque.agents.gguf import fault_of

F32, STRING, ARRAY, UINT32 = 0, 8, 9, 4


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def setting(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int = F32, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(pairs: list[bytes], tensors: list[bytes], body: int, *, version: int = 3, align: int = 32) -> bytes:
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(tensors)
    return header + bytes(-len(header) % align) + bytes(body)


WORDS = setting(b"words", ARRAY, struct.pack("<IQ", STRING, 3) + text(b"a") + text(b"") + text(b"ccc"))
NUMBERS = setting(b"numbers", ARRAY, struct.pack("<IQ", UINT32, 2) + bytes(8))
ALIGN_64 = setting(b"general.alignment", UINT32, struct.pack("<I", 64))
WHOLE = gguf([WORDS, NUMBERS], [tensor(b"w", (8, 4)), tensor(b"q", (64,), 2, 128)], 128 + 36)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_a_whole_file_has_no_fault(path: Path) -> None:
    path.write_bytes(WHOLE)
    assert fault_of(path) == ""


def test_a_files_own_alignment_counts(path: Path) -> None:
    path.write_bytes(gguf([ALIGN_64], [tensor(b"w", (4,))], 16, align=64))
    assert fault_of(path) == ""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty"),
        (b"PK\3\4 something else", "this is not a GGUF file"),
        (b"GG", "this is not a GGUF file"),
        (gguf([], [], 0, version=1), "GGUF version 1 is not supported (only 2 and 3)"),
        (WHOLE[:-1], "the file is truncated: 1 bytes of its tensors are missing"),
        (WHOLE[:60], "the file ends within its header: it is truncated or damaged"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
            f"the header claims {2**60} tensors, more than the file could hold",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
            "the file ends within its header: it is truncated or damaged",
        ),
        (
            gguf([setting(b"words", ARRAY, struct.pack("<IQ", STRING, 2**60))], [], 0),
            "the file ends within its header: it is truncated or damaged",
        ),
        (gguf([text(b"k" * 70_000)], [], 0), "a key in the header is longer than the format allows"),
        (gguf([setting(b"key", 99, b"")], [], 0), "a value in the header has the unknown type 99"),
        (
            gguf([setting(b"key", ARRAY, struct.pack("<IQ", ARRAY, 1))], [], 0),
            "a value in the header has the unknown type 9",
        ),
        (
            gguf([setting(b"general.alignment", UINT32, struct.pack("<I", 0))], [], 0),
            "its alignment of 0 is no power of two",
        ),
        (gguf([], [tensor(b"w", (1, 1, 1, 1, 1))], 4), "a tensor claims 5 dimensions"),
        (
            gguf([], [tensor(b"w", (2**63, 2**63, 2**63, 2**63))], 4),
            f"the file is truncated: {2**254 - 4} bytes of its tensors are missing",
        ),
    ],
)
def test_a_fault_is_told_in_a_sentence(path: Path, content: bytes, fault: str) -> None:
    path.write_bytes(content)
    assert fault_of(path) == fault


def test_r09_a_path_that_is_no_file_is_told(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "none.gguf") == "there is no such file"
    assert fault_of(tmp_path) == "this is a directory; name the .gguf file in it"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(changes=[(69, 128)])  # a length beyond 2**63
@given(changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8))
def test_s19_whatever_bytes_are_changed_the_answer_is_a_sentence_or_none(
    path: Path, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(WHOLE)
    for position, byte in changes:
        content[position] = byte
    path.write_bytes(content)
    assert isinstance(fault_of(path), str)
