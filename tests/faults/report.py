"""The four-way report of a batch: what came of every item that was acknowledged."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from openai import OpenAI

from tests.service import until

ENDED = {"completed", "failed", "expired", "cancelled"}


@dataclass(frozen=True)
class Report:
    """`lost`: in no file; `duplicated`: lines too many; `unexpected`: of nobody; `recovered`: there, as it must be."""

    lost: int
    duplicated: int
    unexpected: int
    recovered: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in asdict(self).items())


def report_on(expected: Iterable[str], lines: Iterable[Mapping[str, object]]) -> Report:
    """Compare the names of all items with those in the output and error files."""
    wanted, found = set(expected), Counter(str(line["custom_id"]) for line in lines)
    return Report(
        lost=len(wanted - found.keys()),
        duplicated=sum(times - 1 for times in found.values()),
        unexpected=len(found.keys() - wanted),
        recovered=len(wanted & found.keys()),
    )


def lines_when_ended(client: OpenAI, batch_id: str, within_s: float = 60) -> list[Mapping[str, object]]:
    """Wait until a batch has ended, and return the lines of its files."""

    def ended() -> list[str | None] | None:
        batch = client.batches.retrieve(batch_id)
        return [batch.output_file_id, batch.error_file_id] if batch.status in ENDED else None

    files = until(ended, within_s)
    texts = [client.files.content(file_id).text for file_id in files if file_id]
    return [json.loads(line) for text in texts for line in text.splitlines()]
