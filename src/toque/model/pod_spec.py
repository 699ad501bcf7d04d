"""Settings of replicas that are Pods: what each model's Pods are made of, and which cluster they are in.

Law: quantities, taints and names are Kubernetes' own words, passed on as they are written; nothing here is a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from toque.model.setting import Setting, setting

Quantities: TypeAlias = Mapping[str, str | int | float | bool]
"""Amounts by resource name, such as `{cpu = 2, memory = "4Gi", "nvidia.com/gpu" = 1}`."""

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class PodSpec:
    """How a replica of this model runs as a Pod, with driver = "kubernetes"."""

    image: str = setting(
        "",
        Setting(
            "Image of a replica, as `toque image build` makes it or toque's own; best by digest, for a tag may be another "
            "image tomorrow. Must be given with the driver kubernetes."
        ),
    )
    image_pull: str = setting(
        "IfNotPresent",
        Setting(
            "When the image is pulled: a start should not wait for a registry that has nothing new.",
            choices=("IfNotPresent", "Always", "Never"),
        ),
    )
    image_pull_secrets: tuple[str, ...] = setting((), Setting("Secrets of the namespace that the registry asks for."))
    port: int = setting(
        8080, Setting("Port that a replica listens on, on its Pod's address.", minimum=1024, maximum=65535)
    )
    command: tuple[str, ...] = setting(
        (), Setting("What to run instead of `toque replica`, where the image is another's (empty: `toque replica`).")
    )
    requests: Quantities = field(
        default_factory=dict,
        metadata={
            "setting": Setting(
                'What a replica is sure to get, by resource: `{ cpu = 2, memory = "4Gi" }`; the scheduler counts these.'
            )
        },
    )
    limits: Quantities = field(
        default_factory=dict,
        metadata={
            "setting": Setting(
                'What it may take at most; devices by their name: `{ memory = "4Gi", "nvidia.com/gpu" = 1 }`. '
                "`isolation.cpu_max` and `isolation.memory_bytes_max` hold where this says nothing."
            )
        },
    )
    node_selector: Mapping[str, str | int | float | bool] = field(
        default_factory=dict,
        metadata={"setting": Setting("Labels that a machine must have for this model's Pods to run on it.")},
    )
    tolerations: tuple[str, ...] = setting(
        (), Setting("Taints of machines that its Pods put up with, as kubectl writes them: `KEY[=VALUE][:EFFECT]`.")
    )
    priority_class: str = setting(
        "", Setting("PriorityClass of its Pods (empty: the cluster's default); batch should have a lower one.")
    )
    service_account: str = setting(
        "",
        Setting(
            "ServiceAccount of its Pods (empty: `default`). No token is mounted: a replica asks the cluster nothing."
        ),
    )
    scratch_bytes_max: int = setting(
        2**30,
        Setting("Files a replica may write, all in /tmp; its root is read-only.", "bytes", minimum=2**20),
    )
    termination_grace_s: int = setting(
        30, Setting("From being told to end until it is forced; its requests have ended before.", "s", minimum=0)
    )


NO_POD = PodSpec()
"""Nothing said: replicas are no Pods."""


@dataclass(frozen=True, slots=True)
class KubernetesSpec:
    """The cluster that replicas run in, with driver = "kubernetes"."""

    namespace: str = setting(
        "", Setting("Namespace of the replicas (empty: that of this Pod, or of the kubeconfig's context).")
    )
    kubeconfig: str = setting(
        "",
        Setting(
            "How the cluster is reached (empty: as a Pod of it by its service account, else $KUBECONFIG or ~/.kube/config).",
            "path",
        ),
    )
    fleet: str = setting(
        "toque",
        Setting("Name of this fleet: what belongs to it is labelled so. Two toques in one namespace need two names."),
    )
    keep: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting(
            "Leave the Pods when toque ends, for the next one to take over. Off, for nobody else would ever remove them; "
            "on where toque itself is restarted by a cluster."
        ),
    )


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that is put up with. Empty texts stand for any value, any effect."""

    key: str
    value: str
    effect: str


def read_toleration(text: str) -> Toleration:
    """Read `KEY[=VALUE][:EFFECT]`. Raises `ValueError` for what is no taint."""
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    if not key or any(map(str.isspace, text)):
        raise ValueError(f"{text!r} is no taint")
    if effect and effect not in TAINT_EFFECTS:
        raise ValueError(f"{effect!r} is no effect of a taint: {', '.join(TAINT_EFFECTS)}")
    return Toleration(key, value, effect)
