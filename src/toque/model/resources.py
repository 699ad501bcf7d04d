"""Resources: what a replica takes and what a machine has, in one small vector.

Law: amounts are never negative, and a zero capacity means "none of it", not "unlimited".
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resources:
    """Memory and GPU memory in bytes, processor in cores (fractions allowed)."""

    memory_bytes: int = 0
    cores: float = 0.0
    gpu_memory_bytes: int = 0

    def plus(self, other: "Resources") -> "Resources":
        """Both together."""
        return Resources(
            self.memory_bytes + other.memory_bytes,
            self.cores + other.cores,
            self.gpu_memory_bytes + other.gpu_memory_bytes,
        )

    def minus(self, other: "Resources") -> "Resources":
        """What is left when `other` is taken away; never below zero."""
        return Resources(
            max(0, self.memory_bytes - other.memory_bytes),
            max(0.0, self.cores - other.cores),
            max(0, self.gpu_memory_bytes - other.gpu_memory_bytes),
        )

    def shortage(self, room: "Resources") -> str:
        """Say what keeps this from fitting into `room`; empty when it fits."""
        lacks = []
        if self.memory_bytes > room.memory_bytes:
            lacks.append(f"needs {mebibytes(self.memory_bytes)} of memory, {mebibytes(room.memory_bytes)} left")
        if self.cores > room.cores + 1e-9:
            noun = "core" if self.cores == 1 else "cores"
            lacks.append(f"needs {self.cores:g} {noun}, {room.cores:g} left")
        if self.gpu_memory_bytes > room.gpu_memory_bytes:
            lacks.append(
                f"needs {mebibytes(self.gpu_memory_bytes)} of GPU memory, {mebibytes(room.gpu_memory_bytes)} left"
            )
        return "; ".join(lacks)


def mebibytes(amount_bytes: int) -> str:
    """Write an amount the way people compare it: `93 MiB`."""
    return f"{amount_bytes / 2**20:.0f} MiB"
