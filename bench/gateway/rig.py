"""Mock and load: one compiled, busy-polling process on a core of its own (`rig/*.c`), driven line by line."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import processes
from cases import Case

SOURCES = Path(__file__).parent / "rig"
MOCK_PORTS = 8
"""One a replica."""


class RigError(Exception):
    """The benchmark cannot run here; the message says why and what to do."""


def build(folder: Path) -> Path:
    """Compile the rig, unless that was done since its sources changed. Raises `RigError`."""
    binary = folder / "rig"
    sources = sorted(SOURCES.glob("*.[ch]"))
    if binary.exists() and binary.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return binary
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RigError("There is no C compiler (cc, gcc or clang); install one, on Debian: apt install gcc libc6-dev.")
    command = [compiler, "-O2", "-std=gnu11", "-o", str(binary), *(str(s) for s in sources if s.suffix == ".c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigError(f"The rig does not compile:\n{done.stderr}")
    return binary


@dataclass(frozen=True, slots=True)
class Figures:
    """One load of one gateway. Pairs are the median and the 99th percentile, in microseconds; -1: no values."""

    seconds: float
    requests: int
    chunks: int
    errors: int
    last_status: int
    reconnects: int
    total_us: tuple[float, float]
    first_chunk_us: tuple[float, float]
    chunk_way_us: tuple[float, float]
    chunk_gap_us: tuple[float, float]


class Rig:
    """A running rig. `ports` are those of the mock."""

    def __init__(self, binary: Path, core: int, folder: Path) -> None:
        self._folder = folder
        command = ["taskset", "-c", str(core), str(binary), str(MOCK_PORTS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        self.ports: list[int] = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes.end(self._process)

    def load(self, case: Case, port: int, warm_s: float, measured_s: float, measuring: Callable[[], None]) -> Figures:
        """Run one case against a port; `measuring` is called when its warm-up is over. Raises `RigError`."""
        request = self._folder / "request"
        request.write_bytes(case.request())
        order = f"{port} {case.connections} {case.spread_s} {warm_s} {measured_s} {request}\n"
        writer = cast(IO[bytes], self._process.stdin)
        writer.write(order.encode())
        writer.flush()
        line = self._read()
        if "measuring" in line:
            measuring()
            line = self._read()
        return Figures(**{name: tuple(it) if isinstance(it, list) else it for name, it in line.items()})

    def _read(self) -> Any:
        line = cast(IO[bytes], self._process.stdout).readline()
        if not line:
            raise RigError("The rig ended.")
        return json.loads(line)
