"""Batches in words."""

from toque.model.batch import Batch, BatchOrder, BatchStatus


def test_a_batch_was_created_when_it_began_to_be_validated() -> None:
    order = BatchOrder("ann", "/v1/embeddings", "file-x", "24h", 86_400)
    batch = Batch("batch-x", order, BatchStatus.IN_PROGRESS, {"validating": 5, "in_progress": 6}, 86_405)
    assert batch.created_at == 5
