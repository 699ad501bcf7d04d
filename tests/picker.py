"""An endpoint picker of the Gateway API Inference Extension, as far as it reads a model server's page of metrics.

It reads a page as Prometheus does, takes from each family the sample whose labels match, and fails over a family that is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

ADAPTER_LABELS = {"max_lora", "running_lora_adapters", "waiting_lora_adapters"}


@dataclass(frozen=True)
class Picked:
    """What it knows of one endpoint."""

    running: float
    queued: float
    cache_ratio: float
    adapters_max: int


def picked(page: str, labels: Mapping[str, str] | None = None) -> Picked:
    """Read a page with the names that pickers have by default; `labels` as a picker may be told them."""
    families = {family.name: family for family in text_string_to_metric_families(page)}

    def value_of(name: str) -> float:
        family = families[name]
        assert family.type == "gauge"
        found = [one for one in family.samples if (labels or {}).items() <= one.labels.items()]
        return found[0].value

    adapters = families["vllm:lora_requests_info"]
    (told,) = adapters.samples
    assert adapters.type == "gauge"
    assert told.labels.keys() == ADAPTER_LABELS
    assert told.value > 1e9, "a time, so that the latest is found"
    return Picked(
        value_of("vllm:num_requests_running"),
        value_of("vllm:num_requests_waiting"),
        value_of("vllm:kv_cache_usage_perc"),
        int(told.labels["max_lora"]),
    )
