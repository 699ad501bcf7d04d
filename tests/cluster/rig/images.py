"""What stands for a container image on a virtual machine: a command on this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Image:
    """`entrypoint` runs before a container's `args`, unless its `command` takes its place. Pulling takes `pull_s` once a machine."""

    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    pull_s: float = 0.0
    is_missing: bool = False


MISSING = Image(is_missing=True)
