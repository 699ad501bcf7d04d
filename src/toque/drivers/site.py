"""What a driver is given when it is opened: callables in place of the agents and settings it must not know.

Law: a driver sees models, launches and endpoints, and nothing of who made them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toque.drivers.out_of_memory import count_memory_kills
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.endpoint import Endpoint
from toque.model.pod_spec import KubernetesSpec
from toque.ports import Launch, Report


@dataclass(frozen=True, slots=True)
class Site:
    """Where a driver works.

    `report` takes every event; `progress` a replica's id and how much of its model is loaded (0 to 1). `launch` says how a model runs as a child (None: it runs elsewhere), `locate` where it is
    when it does; both may raise `ConfigError`. `environment` is this process's own: a driver picks a few names from it.
    `state_dir` is where traces for the next start are left. `memory_kills` counts what the kernel killed for want of memory.
    `notice` takes what a person should know about this machine. Where replicas are Pods: `kubernetes` says in which cluster,
    `settings` what a replica there reads (TOML), `owner` is the ownerReference of what is made for a model (None: nobody's),
    `outdated` takes the name of a model whose replicas, taken over from a predecessor, are of another version, `may_write` says
    whether anything may be changed there now. Where a controller gives replicas: `given` says where they are, and
    `mark` what everybody calls one.
    """

    report: Report
    progress: Callable[[int, float], None]
    launch: Callable[[ModelSpec, Secret], Launch | None]
    locate: Callable[[ModelSpec], Endpoint | None]
    environment: Mapping[str, str] = field(repr=False)
    state_dir: Path
    memory_kills: Callable[[], int] = count_memory_kills
    notice: Callable[[str], None] = lambda _: None
    kubernetes: KubernetesSpec = field(default_factory=KubernetesSpec)
    settings: Callable[[ModelSpec], str] = lambda _: ""
    may_write: Callable[[], bool] = lambda: True
    outdated: Callable[[str], None] = lambda _: None
    owner: Callable[[ModelSpec], Mapping[str, object] | None] = lambda _: None
    given: dict[int, Endpoint] = field(default_factory=dict)
    mark: Callable[[int], str] = lambda _: ""
