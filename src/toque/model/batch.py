"""Files and batches: the words of durable jobs, as the store keeps them and the API shows them.

Law: times are whole seconds of the wall clock (they are stored and shown, never waited for); a batch moves through its
statuses in one direction only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BatchStatus(StrEnum):
    """Where a batch is. `failed` means that its input was refused; lines that fail do not fail the batch."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ENDED = frozenset({BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})
"""Statuses that never change again."""


LIFE_S = LIFE_S_MAX = 30 * 24 * 3600
LIFE_S_MIN = 3600
"""How long a file is kept unless its owner says otherwise, and what may be said; OpenAI's own numbers."""


class Purpose(StrEnum):
    """What a file is for: uploaded input, or the output of a batch."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole. `sha256` is the digest of its content, in hex; `expires_at` 0: it stays until it is deleted."""

    id: str
    tenant: str
    purpose: Purpose
    filename: str
    size_bytes: int
    sha256: str
    created_at: int
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What a caller asks for. `window_s`: how long the batch may take; what is not done then expires.

    `output_life_s`: how long its output and error files are kept once they are written; 0: until they are deleted.
    """

    tenant: str
    endpoint: str
    input_file_id: str
    window: str
    window_s: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    output_life_s: int = 0


@dataclass(frozen=True, slots=True)
class LineError:
    """Why an input was refused, at a line counted from 1; 0: at no line in particular."""

    code: str
    message: str
    line: int = 0
    param: str = ""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of answers, as their replicas counted them. `cached` is a part of `input`, `reasoning` of `output`."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. `moments` maps a status to when it was reached; `completed + failed <= total` at any instant.

    `model` is that of its first request; `tokens` are those of the requests that completed.
    """

    id: str
    order: BatchOrder
    status: BatchStatus
    moments: Mapping[str, int]
    expires_at: int
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str = ""
    error_file_id: str = ""
    errors: tuple[LineError, ...] = ()
    model: str = ""
    tokens: TokenCounts = field(default_factory=TokenCounts)

    @property
    def created_at(self) -> int:
        """When it was accepted."""
        return self.moments[BatchStatus.VALIDATING]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an input: a request with the caller's own name for it. `line` counts from 1; `body` is JSON."""

    line: int
    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make a batch's next move (validating, closing). Who claims it after that made its move in vain."""

    batch: Batch
    holder: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one item until `until`. Whoever holds an older `token` of the item is told so and dropped."""

    batch_id: str
    tenant: str
    endpoint: str
    item: Item
    token: int
    attempts: int
    until: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered to one item. `is_capacity`: we had no room, which is no fault of the item."""

    status: int
    body: bytes
    request_id: str = ""
    is_capacity: bool = False
    retry_after_s: float = 0.0
