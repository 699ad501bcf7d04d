"""What can be seen of a replica from its Pod: how far it is, what keeps it, and whether it failed and of what.

Law: pure; a Pod says the same to everybody. What a person is told is a sentence, not a code of Kubernetes.
"""

import json
from dataclasses import dataclass

from lightkube.models.core_v1 import ContainerState, ContainerStateTerminated, ContainerStatus, PodStatus
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from toque.kube.words import SERVING, VERSION_LABEL
from toque.model.cluster import ReplicaDelayed
from toque.model.condition import FailureCause
from toque.model.messages import ReplicaFailed

SENTENCE_CHARACTERS_MAX = 300
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NO_IMAGE_FOR_GOOD = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""A first pull that fails may be a registry's hiccup; the kubelet calls it a back-off when it has failed again."""
_NOT_MADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Sight:
    """One Pod at one moment. `failure` is why nothing will come of it any more, `delay` what it waits for (None: nothing).

    `is_loaded`: it listens on its port. `is_shown`: its readiness gate is on. `is_ready`: as Kubernetes has it. `is_leaving`:
    it was told to end.
    """

    name: str
    version: str
    address: str
    is_scheduled: bool
    is_started: bool
    is_loaded: bool
    is_shown: bool
    is_ready: bool
    is_leaving: bool
    failure: tuple[FailureCause, str] | None = None
    delay: tuple[FailureCause, str] | None = None

    def failed(self, replica_id: int) -> ReplicaFailed | None:
        """Return what to tell of a failure."""
        return ReplicaFailed(replica_id, *self.failure) if self.failure else None

    def delayed(self, replica_id: int) -> ReplicaDelayed | None:
        """Return what to tell of a delay."""
        return ReplicaDelayed(replica_id, *self.delay) if self.delay else None


def look_at(pod: Pod) -> Sight:
    """See a Pod."""
    status = pod.status or PodStatus()
    metadata = pod.metadata
    assert metadata is not None
    conditions = {condition.type: condition.status == "True" for condition in status.conditions or []}
    container = next(iter(status.containerStatuses or []), None)
    return Sight(
        name=metadata.name or "",
        version=(metadata.labels or {}).get(VERSION_LABEL, ""),
        address=status.podIP or "",
        is_scheduled=conditions.get("PodScheduled", False),
        is_started=container is not None and container.state is not None and container.state.running is not None,
        is_loaded=conditions.get("ContainersReady", False),
        is_shown=conditions.get(SERVING, False),
        is_ready=conditions.get("Ready", False),
        is_leaving=metadata.deletionTimestamp is not None,
        failure=_failure(status, container),
        delay=_delay(status, container),
    )


def quota_of(deployment: Deployment) -> str:
    """Return why the Pods of a Deployment cannot be made, such as a quota that is used up; empty when they can."""
    conditions = deployment.status.conditions if deployment.status else None
    for condition in conditions or []:
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return _short(f"Kubernetes may not make its Pod: {condition.message or condition.reason or ''}")
    return ""


def _failure(status: PodStatus, container: ContainerStatus | None) -> tuple[FailureCause, str] | None:
    """Say why nothing will come of a Pod: 1. it was evicted; 2. its container ended, now or before; 3. its image is not there."""
    if status.phase == "Failed" and (status.reason or container is None):  # 1
        return FailureCause.REMOVED, _short(f"Kubernetes ended its Pod: {status.message or status.reason or ''}")
    if container is None:
        return None
    ended = _ended(container)
    if ended is not None:  # 2
        return _death(ended)
    waiting = container.state.waiting if container.state else None
    if waiting is not None and waiting.reason in _NO_IMAGE_FOR_GOOD:  # 3
        return FailureCause.IMAGE_MISSING, _short(f"the image {container.image} cannot be pulled ({waiting.reason})")
    return None


def _delay(status: PodStatus, container: ContainerStatus | None) -> tuple[FailureCause, str] | None:
    """Say what a Pod waits for: 1. a machine with room; 2. its image; 3. something its container is made with."""
    for condition in status.conditions or []:
        if (
            condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable"
        ):  # 1
            return FailureCause.UNSCHEDULABLE, _short(f"no machine has room for its Pod: {condition.message or ''}")
    waiting = container.state.waiting if container and container.state else None
    if container is None or waiting is None:
        return None
    if waiting.reason in _NO_IMAGE:  # 2
        told = f"the image {container.image} cannot be pulled: {waiting.message or waiting.reason}"
        return FailureCause.IMAGE_MISSING, _short(told)
    if waiting.reason in _NOT_MADE:  # 3
        return FailureCause.START_TIMEOUT, _short(f"its container cannot be made: {waiting.message or waiting.reason}")
    return None


def _ended(container: ContainerStatus) -> ContainerStateTerminated | None:
    states: list[ContainerState | None] = [container.state, container.lastState]
    return next((state.terminated for state in states if state is not None and state.terminated is not None), None)


def _death(ended: ContainerStateTerminated) -> tuple[FailureCause, str]:
    """Tell the end of a container: 1. killed for want of memory; 2. it said itself why; 3. its exit and its last line."""
    if ended.reason == "OOMKilled":  # 1
        return FailureCause.OUT_OF_MEMORY, "killed at its memory limit"
    lines = [line.strip() for line in (ended.message or "").splitlines() if line.strip()]
    for line in reversed(lines):  # 2
        if reason := _refusal(line):
            return FailureCause.INVALID_MODEL, _short(reason)
    told = f"ended by signal {ended.signal}" if ended.signal else f"exited with code {ended.exitCode}"
    return FailureCause.EXITED, _short(f"{told}: {lines[-1]}" if lines else told)  # 3


def _refusal(line: str) -> str:
    """Return why a replica said that it never can be, where a line of its output is that."""
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    is_refusal = isinstance(told, dict) and told.get("phase") == "failed"
    return str(told.get("reason", "")) if is_refusal else ""


def _short(text: str) -> str:
    """Keep a sentence printable and short."""
    clean = "".join(filter(str.isprintable, " ".join(text.split())))
    return clean if len(clean) <= SENTENCE_CHARACTERS_MAX else f"{clean[: SENTENCE_CHARACTERS_MAX - 3]}..."
