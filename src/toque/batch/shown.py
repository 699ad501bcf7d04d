"""Files and batches as the API shows them: OpenAI's own objects.

Law: pure; what is not known is null, never left out.
"""

from collections.abc import Sequence
from typing import TypeAlias

from toque.model.batch import Batch, BatchStatus, LineError, StoredFile, TokenCounts

Json: TypeAlias = dict[str, object]


def show_file(stored: StoredFile) -> Json:
    """The `file` object."""
    return {
        "id": stored.id,
        "object": "file",
        "bytes": stored.size_bytes,
        "created_at": stored.created_at,
        "expires_at": stored.expires_at or None,
        "filename": stored.filename,
        "purpose": stored.purpose.value,
        "status": "processed",
        "status_details": None,
    }


def show_batch(batch: Batch) -> Json:
    """The `batch` object."""
    order = batch.order
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": order.endpoint,
        "errors": {"object": "list", "data": [_error(error) for error in batch.errors]} if batch.errors else None,
        "input_file_id": order.input_file_id,
        "completion_window": order.window,
        "status": batch.status.value,
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        **{f"{status.value}_at": batch.moments.get(status.value) for status in BatchStatus if status != "validating"},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": dict(order.metadata) or None,
        "model": batch.model or None,
        "usage": _usage(batch.tokens),
    }


def show_list(rows: Sequence[Json], *, has_more: bool) -> Json:
    """A page of a list."""
    ids = [row["id"] for row in rows]
    return {
        "object": "list",
        "data": list(rows),
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": has_more,
    }


def _usage(tokens: TokenCounts) -> Json:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _error(error: LineError) -> Json:
    return {"code": error.code, "line": error.line or None, "message": error.message, "param": error.param or None}
