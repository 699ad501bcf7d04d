"""B01 at seeded points: a gateway is killed (SIGKILL) somewhere in a job, another takes the store up, and nothing may be lost.

`python -m tests.faults.kill_points --store sqlite --seeds 1-100` prints a line for each seed and the sum; exit status 1 if any
seed lost, doubled or invented a line. A seed says in which phase of its job the kill falls, and where in it.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.faults.report import Report, report_on
from tests.postgres import postgres
from tests.service import Service, call, serving, until
from toque.testing import Answer, FakeEngine
from toque.testing.background import in_background
from toque.testing.engine import Received

ITEMS = 1000
RUN_AGAIN_MAX = 64
"""Requests that may run twice: those in flight (`jobs.in_flight_max`), and as many whose answers were not yet written."""
SETTINGS = """
[models.chat]
agent = "openai"
url = "{url}"
slots = 16
[jobs]
lease_s = 2
[records]
access_log = ""
"""
ANSWERED = {
    "id": "a",
    "object": "chat.completion",
    "created": 0,
    "model": "chat",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
}
ANSWER = Answer(200, [json.dumps(ANSWERED).encode()])
PATIENCE_S = 300
"""For a machine that does much else: no trial takes half a minute on one that does not."""
ENDED = {"completed", "failed", "expired", "cancelled"}


class Phase(StrEnum):
    """Where in its job a gateway is killed."""

    UPLOADED = "between upload and order"
    VALIDATING = "while the input is read"
    RUNNING = "while items run"
    CLOSING = "while the output is written"


@dataclass(frozen=True)
class Point:
    """A point of a job. `item`: the request at which the kill falls; `delay_s`: or how long after the phase began."""

    phase: Phase
    item: int = 0
    delay_s: float = 0.0

    @staticmethod
    def of(seed: int) -> "Point":
        """Draw the point of a seed: seven of ten while items run, the rest around it."""
        chance = random.Random(seed)
        phase = chance.choices(list(Phase), (1, 1, 7, 1))[0]
        return Point(phase, chance.randint(1, ITEMS), chance.uniform(0, 0.08))

    def __str__(self) -> str:
        where = f"at request {self.item}" if self.phase is Phase.RUNNING else f"after {self.delay_s * 1e3:.0f} ms"
        return f"{self.phase}, {where}"


@dataclass
class Engine:
    """Counts what is asked of it, and says when an awaited request is there, before it answers."""

    asked: Counter[str] = field(default_factory=Counter)
    count: int = 0
    at: int = 0
    act: Callable[[], None] = field(default=lambda: None)

    def __call__(self, received: Received) -> Answer:
        """Answer one request."""
        self.asked[json.loads(received.body)["messages"][0]["content"]] += 1
        self.count += 1
        if self.count == self.at:
            self.act()
        return ANSWER

    def begin(self, at: int = 0, act: Callable[[], None] = lambda: None) -> None:
        """Count anew, and act at the request of this number."""
        self.asked.clear()
        self.count, self.at, self.act = 0, at, act


@dataclass(frozen=True)
class Trial:
    """What came of one seed. `again`: requests that ran more than once."""

    seed: int
    point: Point
    report: Report
    again: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether each acknowledged item is there, once."""
        return self.report == Report(0, 0, 0, ITEMS)

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.report}, run again {self.again}, {self.seconds:.1f} s ({self.point})"


class Stage:
    """A store, an engine, and one gateway after the other, each killed and followed by the next."""

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str], engine: Engine) -> None:
        self._folder = folder
        self._settings = SETTINGS.format(url=url)
        self._environment = environment
        self._engine = engine
        self._stack = ExitStack()
        self.service = self._start()

    def close(self) -> None:
        """End the last gateway."""
        self._stack.close()

    def trial(self, seed: int) -> Trial:
        """Run one job through one death."""
        point, began = Point.of(seed), time.monotonic()
        at = {Phase.RUNNING: point.item, Phase.CLOSING: ITEMS}.get(point.phase, 0)
        self._engine.begin(at, self._kill if point.phase is Phase.RUNNING else lambda: None)
        file_id = self._upload()
        batch_id = "" if point.phase is Phase.UPLOADED else self._order(file_id)
        self._die(point)
        self._follow()
        lines = self._lines(batch_id or self._order(file_id))
        names = [f"item-{number}" for number in range(ITEMS)]
        again = sum(times - 1 for times in self._engine.asked.values())
        return Trial(seed, point, report_on(names, lines), again, time.monotonic() - began)

    def _start(self) -> Service:
        return self._stack.enter_context(serving(self._folder, self._settings, environment=self._environment))

    def _kill(self) -> None:
        self.service.process.send_signal(signal.SIGKILL)

    def _die(self, point: Point) -> None:
        """Let the gateway be killed at the point, or wait until it was."""
        if point.phase is Phase.CLOSING:
            until(lambda: self._engine.count >= ITEMS, PATIENCE_S)
        if point.phase is not Phase.RUNNING:
            threading.Event().wait(point.delay_s)  # the point is a moment
            self._kill()
        assert self.service.process.wait(PATIENCE_S) == -signal.SIGKILL

    def _follow(self) -> None:
        self._stack.close()
        self.service = self._start()

    def _ask(self, method: str, path: str, body: bytes | None = None, **fields: str) -> Any:
        headers = {name.replace("_", "-"): text for name, text in fields.items()}
        status, _, answer = call(self.service.url, method, path, body, headers)
        assert status == 200, answer
        return answer

    def _upload(self) -> str:
        form = (
            b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n%b\r\n--edge--\r\n'
        )
        answer = self._ask("POST", "/v1/files", form % INPUT, content_type="multipart/form-data; boundary=edge")
        return str(json.loads(answer)["id"])

    def _order(self, file_id: str) -> str:
        order = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return str(json.loads(self._ask("POST", "/v1/batches", json.dumps(order).encode()))["id"])

    def _lines(self, batch_id: str) -> list[Mapping[str, object]]:
        """Wait for the end, and return the lines of both files."""

        def ended() -> Mapping[str, Any] | None:
            batch: Mapping[str, Any] = json.loads(self._ask("GET", f"/v1/batches/{batch_id}"))
            return batch if batch["status"] in ENDED else None

        batch = until(ended, PATIENCE_S)
        files = [batch[name] for name in ("output_file_id", "error_file_id") if batch[name]]
        contents = [self._ask("GET", f"/v1/files/{file_id}/content") for file_id in files]
        return [json.loads(line) for content in contents for line in content.splitlines()]


def _input() -> bytes:
    lines = []
    for number in range(ITEMS):
        body = {"model": "chat", "messages": [{"role": "user", "content": f"Item {number}"}]}
        lines.append({"custom_id": f"item-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
    return "\n".join(map(json.dumps, lines)).encode()


INPUT = _input()


def trials(store: str, seeds: list[int], folder: Path) -> Iterator[Trial]:
    """Try these seeds on one store of this kind."""
    with ExitStack() as stack:
        environment = {}
        if store == "postgres":
            environment = {"TOQUE_JOBS_STORE": stack.enter_context(postgres()).database()}
        engine = Engine()
        listening = stack.enter_context(in_background(FakeEngine(engine)))
        stage = Stage(folder, listening.url, environment, engine)
        stack.callback(stage.close)
        for seed in seeds:
            yield stage.trial(seed)


def main() -> int:
    """Try seeds, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seeds", default="1-100", metavar="A-B")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    done = []
    with _folder() as folder:
        for trial in trials(args.store, list(range(int(first), int(last or first) + 1)), folder):
            print(trial, flush=True)
            done.append(trial)
    sums = Report(*(sum(getattr(trial.report, name) for trial in done) for name in Report.__dataclass_fields__))
    again = max(trial.again for trial in done)
    print(f"{args.store}, {len(done)} kills of a job of {ITEMS}: {sums}; run again at most {again}")
    bad = [str(trial.seed) for trial in done if not trial.is_good]
    if bad:
        print(f"failed seeds: {', '.join(bad)}")
    return 1 if bad else 0


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="toque-kill-points-") as name:
        yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
