"""What a model server tells an endpoint picker of itself, in the words of the Gateway API Inference Extension.

Law: gauges, under the names that pickers look for unless they were told others: vLLM's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RUNNING = "vllm:num_requests_running"
QUEUED = "vllm:num_requests_waiting"
CACHE = "vllm:kv_cache_usage_perc"
"""A ratio, whatever its name says."""
ADAPTERS = "vllm:lora_requests_info"
"""Its value is when it was told, by the wall clock."""
NO_ADAPTERS: Mapping[str, str] = MappingProxyType(
    {"max_lora": "0", "running_lora_adapters": "", "waiting_lora_adapters": ""}
)
"""Labels of `ADAPTERS`: a replica serves one model, and no adapters over it."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that are worked on and that wait, and the slots there are."""

    running: int
    queued: int
    slots: int

    @property
    def cache_ratio(self) -> float:
        """Share of the KV cache that is taken: each slot has an equal part of it to itself. 0 where there is no slot."""
        return min(1.0, self.running / self.slots) if self.slots else 0.0
