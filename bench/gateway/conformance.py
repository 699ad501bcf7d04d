"""What the conformance kit says of toque and of its peers, all before the same fake engine, one after the other.

python bench/gateway/conformance.py [--subjects toque,nginx,...] [--only ID ...] [--json FILE]

Prints Markdown. Peers that are missing are installed into .bench/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import processes
from cases import KEY, MODEL
from contender import Contender, NotReadyError
from contenders import PEERS, Toque
from install import NotHadError
from llama_cpp import LlamaCppServer
from promises import Found, render

KIT_S_MAX = 900.0
KEYED = {"toque", "litellm"}
"""Those that look at keys; the others are asked without one, and the cases about keys are skipped."""
SUBJECTS = {"toque": Toque, **PEERS, "llama.cpp": LlamaCppServer}
GROUPS = (
    ("A", "S15"),
    ("H01", "H02", "H03", "H04", "H05", "H12", "H13", "C10"),
    ("H06", "H07"),
    ("H08",),
    ("H10",),
    ("C01", "C02", "C05", "C06", "C08"),
    ("C03", "C04"),
)
"""Each group of cases finds a subject that was started for it: some need minutes to come back from a bomb, or never do."""
ENGINE = "engine"
"""The fake engine itself: what a gateway that only passes bytes on would show."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The fake engine that stands behind every gateway, under two ports: some routers want two replicas at least."""

    ports: tuple[int, int]

    @property
    def metrics(self) -> str:
        """Where it says what it works on."""
        return f"http://127.0.0.1:{self.ports[0]}/metrics"


def main() -> int:
    """Try every subject and print what was found."""
    args = _arguments()
    found: dict[str, Found] = {}
    for name in args.subjects.split(","):
        try:
            found[name] = _tried(name, args.only)
        except (NotHadError, NotReadyError) as error:
            print(f"skipped {name}: {error}", file=sys.stderr)
    print(render(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ",".join([*SUBJECTS, ENGINE])
    parser.add_argument("--subjects", metavar="NAMES", default=names, help=f"by commas (default: {names})")
    parser.add_argument("--only", metavar="ID", nargs="+", default=[], help="only cases whose id begins so")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what was seen in every case")
    return parser.parse_args()


def _tried(name: str, only: Sequence[str]) -> Found:
    print(f"trying {name}", file=sys.stderr)
    return [case for group in ([only] if only else GROUPS) for case in _tried_fresh(name, group)]


def _tried_fresh(name: str, only: Sequence[str]) -> Found:
    """Start engine and subject, try a group of cases, and end both."""
    with tempfile.TemporaryDirectory() as folder, _upstream() as upstream:
        if name == ENGINE:
            return _kit(upstream.ports[0], upstream.metrics, only, {})
        subject: Contender = SUBJECTS[name]()
        subject.first = _short(subject.first)
        try:
            subject.start(Path(folder) / name, upstream.ports, min(os.sched_getaffinity(0)))
            subject.work()
            key = {"TOQUE_KEY": KEY} if name in KEYED else {}
            return _kit(subject.port, getattr(subject, "metrics", upstream.metrics), only, key)
        finally:
            subject.stop()


def _short(request: bytes) -> bytes:
    """The same for one token: this engine finds no end by itself, so that a client can leave before it."""
    head, _, body = request.partition(b"\r\n\r\n")
    body = json.dumps({**json.loads(body), "max_tokens": 1}).encode()
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


@contextmanager
def _upstream() -> Iterator[Upstream]:
    speed = ["--tokens", "100000", "--ttft", "0.05", "--gap", "0.002"]
    with _testing("engine", "--model", MODEL, *speed) as port, _testing("proxy", "--to", f"127.0.0.1:{port}") as second:
        yield Upstream((port, second))


@contextmanager
def _testing(*arguments: str) -> Iterator[int]:
    """Run a part of `toque.testing`; its port."""
    argv = [sys.executable, "-m", "toque.testing", *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, process_group=0)
    try:
        assert process.stdout is not None
        url: str = json.loads(process.stdout.readline())["url"]
        yield int(url.removesuffix("/v1").rpartition(":")[2])
    finally:
        processes.end(process)


def _kit(port: int, metrics: str, only: Sequence[str], environment: Mapping[str, str]) -> Found:
    argv = [sys.executable, "-m", "toque", "conformance", f"http://127.0.0.1:{port}", "--json", "--model", MODEL]
    argv += ["--metrics", metrics, "--only", *only]
    base = {name: content for name, content in os.environ.items() if name != "TOQUE_KEY"}
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, text=True, env={**base, **environment}, timeout=KIT_S_MAX, check=False
    )
    cases: Found = json.loads(done.stdout)["cases"]
    return cases


if __name__ == "__main__":
    sys.exit(main())
