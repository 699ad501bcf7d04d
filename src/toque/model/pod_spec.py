"""Settings of replicas that are Pods: what each model's Pods are made of, and which cluster they are in.

Law: quantities, taints and names are Kubernetes' own words, passed on as they are written; nothing here is a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from toque.model.setting import Setting, setting

Quantities: TypeAlias = Mapping[str, str | int | float | bool]
"""Amounts by resource name, such as `{cpu = 2, memory = "4Gi", "nvidia.com/gpu" = 1}`."""


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
    node_required: tuple[str, ...] = setting(
        (),
        Setting(
            "What a machine's labels must say besides, all of it, as kubectl selects: `KEY`, `!KEY`, `KEY=VALUE`, "
            "`KEY in (A, B)`, `KEY notin (A, B)`, `KEY>8`."
        ),
    )
    node_preferred: tuple[str, ...] = setting(
        (),
        Setting(
            "What they should say where there is a choice, in the same words; each weighs twice as much as the next one."
        ),
    )
    tolerations: tuple[str, ...] = setting(
        (), Setting("Taints of machines that its Pods put up with, as kubectl writes them: `KEY[=VALUE][:EFFECT]`.")
    )
    spread: tuple[str, ...] = setting(
        (),
        Setting(
            "Labels of machines over whose values its replicas spread, such as `topology.kubernetes.io/zone`: "
            "`KEY[=SKEW][:RULE]`, by how many they may differ (1), and whether a Pod waits rather than break that "
            "(`DoNotSchedule`) or not (`ScheduleAnyway`). Most would rather have it in the wrong zone."
        ),
    )
    priority_class: str = setting(
        "", Setting("PriorityClass of its Pods (empty: the cluster's default); batch should have a lower one.")
    )
    runtime_class: str = setting(
        "", Setting("RuntimeClass of its Pods (empty: the cluster's default), where devices need one.")
    )
    disruptions_max: int = setting(
        0,
        Setting(
            "Replicas that may be away at once because somebody empties machines: a PodDisruptionBudget over all its Pods "
            "(0: none). With one, whoever drains a machine waits while a replica starts.",
            minimum=0,
        ),
    )
    service_account: str = setting(
        "",
        Setting(
            "ServiceAccount of its Pods (empty: `default`). No token is mounted: a replica asks the cluster nothing."
        ),
    )
    weights: str = setting(
        "image",
        Setting(
            "Where the model's file is: in the `image`, for then a start waits for no volume; on a PersistentVolumeClaim "
            "(`claim:NAME`), read-only; or in `scratch`, an empty folder for images that fetch it at their start."
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
