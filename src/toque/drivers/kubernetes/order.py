"""One replica that the core ordered, and the Pod it has.

Law: each step is told once and in order, whatever happens to Pods; after its end nothing is told.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from toque.drivers.kubernetes.sight import Sight
from toque.kube.manifests import Version
from toque.model.cluster import ReplicaDelayed
from toque.model.endpoint import Endpoint
from toque.model.messages import Event, ReplicaLoaded, ReplicaSpawned
from toque.ports import ReplicaStatus

SCHEDULED, PULLED, STARTED, LOADED, READY = "scheduled", "pulled", "started", "loaded", "ready"
"""Steps of a cold start: it has a machine, its image is there, its container runs, its port answers, we reach it."""


@dataclass(slots=True)
class Order:
    """`pod` is the name of its Pod (empty: it has none yet), `ordered_at` an instant of the loop's clock.

    `is_former`: it
    takes over a Pod of another version than its model is now. `contact` waits for its first answer, `timer` ends a start that takes too long; whoever binds it to a Pod ends both.
    """

    id: int
    version: Version
    ordered_at: float
    tell: Callable[[Event], None]
    pod: str = ""
    endpoint: Endpoint | None = None
    delayed: ReplicaDelayed | None = None
    phases: dict[str, float] = field(default_factory=dict)
    is_probed: bool = False
    is_former: bool = False
    contact: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it was told to be ready."""
        return READY in self.phases

    def see(self, sight: Sight, now: float) -> None:
        """Tell what is new of it."""
        if sight.is_scheduled:
            self.reach(SCHEDULED, now)
        if sight.is_started and self.reach(STARTED, now):
            self.tell(ReplicaSpawned(self.id))
        if sight.is_loaded and self.reach(LOADED, now):
            self.tell(ReplicaLoaded(self.id))
        self.wait_for(sight.delayed(self.id))

    def wait_for(self, delayed: ReplicaDelayed | None) -> None:
        """Tell what its start waits for, if that is news."""
        if delayed != self.delayed:
            self.delayed = delayed
            if delayed is not None:
                self.tell(delayed)

    def reach(self, phase: str, now: float) -> bool:
        """Note when a step was made; False where it was before."""
        if phase in self.phases:
            return False
        self.phases[phase] = now - self.ordered_at
        return True

    def unbind(self) -> None:
        """Have no Pod any more; nobody waits for its answer."""
        if self.contact is not None:
            self.contact.cancel()
            self.contact = None
        self.pod = ""
        self.endpoint = None

    def settle(self) -> None:
        """Its start is over: no time limit any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def status(self) -> ReplicaStatus:
        """What is known for display."""
        phases = sorted(self.phases.items(), key=lambda item: item[1])
        return ReplicaStatus(
            name=self.pod, phases=tuple(phases), delay=self.delayed.reason if self.delayed is not None else ""
        )
