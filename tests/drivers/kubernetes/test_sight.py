"""What is seen of a replica from its Pod, and how that is told to a person."""

from typing import Any, cast

import pytest
from lightkube.models.apps_v1 import DeploymentCondition, DeploymentSpec, DeploymentStatus
from lightkube.models.core_v1 import PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from toque.drivers.kubernetes.sight import SENTENCE_CHARACTERS_MAX, Sight, look_at, quota_of
from toque.model.condition import FailureCause


def pod(status: dict[str, Any], **metadata: Any) -> Sight:
    known = {"name": "chat-1", "labels": {"toque.dev/version": "v1"}}
    return look_at(cast(Pod, Pod.from_dict({"metadata": known | metadata, "status": status})))


def container(**state: Any) -> dict[str, Any]:
    row = {"name": "replica", "image": "chat:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": "Running", "containerStatuses": [row]}


def ended(**how: Any) -> dict[str, Any]:
    return container(terminated={"exitCode": 1, **how})


def holds(*names: str) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": "True"} for name in names]}


def test_a_pod_is_seen_step_by_step() -> None:
    first = pod({"phase": "Pending"})
    assert (first.name, first.version, first.is_scheduled) == ("chat-1", "v1", False)
    running = container(running={"startedAt": "2026-01-01T00:00:00Z"})
    started = pod(running | holds("PodScheduled"))
    assert (started.is_scheduled, started.is_started, started.is_loaded) == (True, True, False)
    loaded = pod(running | holds("PodScheduled", "ContainersReady") | {"podIP": "10.0.0.7"})
    assert (loaded.is_loaded, loaded.is_ready, loaded.address) == (True, False, "10.0.0.7")
    assert pod(running | holds("Ready")).is_ready
    assert pod(running, deletionTimestamp="2026-01-01T00:00:00Z").is_leaving


@pytest.mark.parametrize(
    ("status", "cause", "reason"),
    [
        (ended(), FailureCause.EXITED, "exited with code 1"),
        (ended(message="loading\nno room for the model\n"), FailureCause.EXITED, "no room for the model"),
        (ended(exitCode=137, signal=9), FailureCause.EXITED, "ended by signal 9"),
        (ended(reason="OOMKilled"), FailureCause.OUT_OF_MEMORY, "killed at its memory limit"),
        (
            ended(message='{"phase": "failed", "reason": "model.gguf: truncated"}\nbye'),
            FailureCause.INVALID_MODEL,
            "model.gguf: truncated",
        ),
        (container(waiting={"reason": "ImagePullBackOff"}), FailureCause.IMAGE_MISSING, "chat:1 cannot be pulled"),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            FailureCause.REMOVED,
            "low on resource: memory",
        ),
    ],
)
def test_why_nothing_comes_of_it_any_more_is_told_in_a_sentence(
    status: dict[str, Any], cause: FailureCause, reason: str
) -> None:
    failed = pod(status).failure
    assert failed is not None
    assert failed[0] is cause
    assert reason in failed[1]


def test_a_container_that_came_back_has_failed_all_the_same() -> None:
    status = container(running={"startedAt": "2026-01-01T00:00:00Z"})
    status["containerStatuses"][0]["lastState"] = {"terminated": {"exitCode": 3}}
    assert pod(status).failure == (FailureCause.EXITED, "exited with code 3")


@pytest.mark.parametrize(
    ("status", "cause", "reason"),
    [
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
                    }
                ]
            },
            FailureCause.UNSCHEDULABLE,
            "no machine has room for its Pod: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
        ),
        (
            container(waiting={"reason": "ErrImagePull", "message": "connection refused"}),
            FailureCause.IMAGE_MISSING,
            "the image chat:1 cannot be pulled: connection refused",
        ),
        (
            container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}),
            FailureCause.START_TIMEOUT,
            'its container cannot be made: secret "x" not found',
        ),
    ],
)
def test_what_it_waits_for_is_told_and_is_no_failure_yet(
    status: dict[str, Any], cause: FailureCause, reason: str
) -> None:
    sight = pod(status)
    assert sight.failure is None
    assert sight.delay == (cause, reason)


def test_what_a_container_says_is_kept_short_and_printable() -> None:
    failed = pod(ended(message="\x1b[31m" + "x" * 1000)).failure
    assert failed is not None
    assert len(failed[1]) == SENTENCE_CHARACTERS_MAX
    assert failed[1].isprintable()


def test_a_quota_that_is_used_up_is_read_off_the_deployment() -> None:
    message = 'pods "chat-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
    condition = DeploymentCondition(status="True", type="ReplicaFailure", message=message, reason="FailedCreate")
    spec = DeploymentSpec(selector=LabelSelector(), template=PodTemplateSpec())
    assert "exceeded quota: small" in quota_of(Deployment(spec=spec, status=DeploymentStatus(conditions=[condition])))
    assert quota_of(Deployment(spec=spec)) == ""
