"""Settings of toque's own Pods in a cluster: what `toque deploy` makes manifests and the values of its Helm chart from.

Law: a running toque never reads them. Secrets are names of Secrets; what stands in those is nobody's business here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from toque.model.setting import Setting, setting

FLEET, SINGLE = "fleet", "single"


def _texts(about: Setting) -> Mapping[str, str]:
    made: Mapping[str, str] = field(default_factory=dict, metadata={"setting": about})
    return made


@dataclass(frozen=True, slots=True)
class GatewayPods:
    """The Pods that clients talk to. With the layout `single` there is one, which starts the replicas too."""

    pods: int = setting(
        2,
        Setting("Gateways, each with a line of its own: with two, one may go and requests are still taken.", minimum=1),
    )
    pods_max: int = setting(
        0, Setting("A HorizontalPodAutoscaler may run up to so many, from `pods` on (0: there is none).", minimum=0)
    )
    cpu_percent: int = setting(
        70,
        Setting(
            "Of its requested processor: above this in the mean, the autoscaler adds a gateway.", "percent", minimum=1
        ),
    )
    disruptions_max: int = setting(
        1, Setting("Of them, so many may be away because machines are emptied (0: no PodDisruptionBudget).", minimum=0)
    )
    cpu: str = setting(
        "500m", Setting("Processor that one is sure to get; a core relays some thousand requests a second.")
    )
    memory: str = setting("256Mi", Setting("Memory that one is sure to get: itself, and what waits in its line."))
    memory_max: str = setting(
        "1Gi",
        Setting("Memory that one may take at most. Processor has no such bound: a gateway held back is slow for all."),
    )
    node_selector: Mapping[str, str] = _texts(Setting("Labels that a machine must have."))
    tolerations: tuple[str, ...] = setting((), Setting("Taints that are put up with: `KEY[=VALUE][:EFFECT]`."))
    priority_class: str = setting("", Setting("PriorityClass of its Pods (empty: the cluster's default)."))
    annotations: Mapping[str, str] = _texts(Setting("Annotations of its Pods, for what else runs in the cluster."))
    service_type: str = setting(
        "ClusterIP",
        Setting("How its Service is reached.", choices=("ClusterIP", "NodePort", "LoadBalancer")),
    )
    service_port: int = setting(80, Setting("Port of its Service.", minimum=1, maximum=65535))
    service_annotations: Mapping[str, str] = _texts(
        Setting("Annotations of its Service, for the cloud's load balancer.")
    )
    linger_s: int = setting(
        5,
        Setting(
            "One that is to go serves as before for this long, until whoever sends it requests has heard of that. Needs Kubernetes "
            "1.30; left out before.",
            "s",
            minimum=0,
        ),
    )
    termination_grace_s: int = setting(
        60,
        Setting(
            "From being told to end until it is forced: above `linger_s`, `lame_duck_s` and `drain_s_max` together.",
            "s",
            minimum=0,
        ),
    )


@dataclass(frozen=True, slots=True)
class ControllerPods:
    """The Pods that decide how many replicas there are; one of them leads. None with the layout `single`."""

    pods: int = setting(2, Setting("Controllers: with two, one stands ready when the leader dies.", minimum=1))
    disruptions_max: int = setting(
        1, Setting("Of them, so many may be away because machines are emptied (0: no PodDisruptionBudget).", minimum=0)
    )
    cpu: str = setting("200m", Setting("Processor that one is sure to get; hundreds of replicas fit into this."))
    memory: str = setting("256Mi", Setting("Memory that one is sure to get."))
    memory_max: str = setting("1Gi", Setting("Memory that one may take at most."))
    node_selector: Mapping[str, str] = _texts(Setting("Labels that a machine must have."))
    tolerations: tuple[str, ...] = setting((), Setting("Taints that are put up with: `KEY[=VALUE][:EFFECT]`."))
    priority_class: str = setting("", Setting("PriorityClass of its Pods (empty: the cluster's default)."))
    annotations: Mapping[str, str] = _texts(Setting("Annotations of its Pods, for what else runs in the cluster."))
    drain: bool = setting(
        True,  # noqa: FBT003 - a default
        Setting(
            "With Helm: when the release is removed, delete the namespace's ModelPools first and wait until their replicas "
            "are gone. Once controllers are away nobody else would end them."
        ),
    )
    keda: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting("Answer KEDA's external scaler at `NAME-keda.NAMESPACE.svc:7071`, which is the controller that leads."),
    )


@dataclass(frozen=True, slots=True)
class PriorityClasses:
    """Who goes first when machines are short: two PriorityClasses, which Pods name with `priority_class`."""

    interactive: str = setting(
        "toque-interactive", Setting("The class of Pods that people wait for (empty: none is made).")
    )
    interactive_value: int = setting(
        1000, Setting("Above the 0 of Pods that say nothing: they give way when there is no room.", maximum=10**9)
    )
    batch: str = setting("toque-batch", Setting("The class of Pods that work off a backlog (empty: none is made)."))
    batch_value: int = setting(
        -100, Setting("Below 0: they are the first to go, and never push anybody away.", maximum=10**9)
    )


@dataclass(frozen=True, slots=True)
class Walls:
    """NetworkPolicies: who may talk to whom. They hold where the cluster's network knows them."""

    enabled: bool = setting(
        True,  # noqa: FBT003 - a default
        Setting("Replicas take connections of their fleet's gateways and controllers only, and open none."),
    )
    dns: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting("Replicas may look up names; off, for one that brings its weights along asks nobody."),
    )
    cidrs: tuple[str, ...] = setting(
        (), Setting("Addresses that replicas may call, such as `10.1.0.0/16`: of a store of weights they fetch.")
    )


@dataclass(frozen=True, slots=True)
class Monitoring:
    """How Prometheus finds the metrics of gateways and controllers."""

    enabled: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting("Make a ServiceMonitor; off, for a cluster without Prometheus' operator does not know that kind."),
    )
    interval_s: int = setting(15, Setting("Between two scrapes; a replica starts within a few.", "s", minimum=1))
    labels: Mapping[str, str] = _texts(Setting("Labels by which your Prometheus chooses ServiceMonitors."))


@dataclass(frozen=True, slots=True)
class MetricsApi:
    """The cluster's external metrics API, answered by controllers, so that HPAs may carry out what toque decides."""

    secret: str = setting(
        "",
        Setting(
            "Secret with `tls.crt` and `tls.key` (for `NAME-metrics-api.NAMESPACE.svc`) and `client-ca.crt` (of the cluster's front "
            "proxy). Empty: no such API, for a cluster has one, and KEDA brings its own."
        ),
    )
    ca_bundle: str = setting(
        "", Setting("Authority of that certificate, PEM in base64 (empty: something else puts it there).")
    )
    annotations: Mapping[str, str] = _texts(
        Setting("Annotations of the APIService, such as the one by which cert-manager puts its authority there.")
    )


@dataclass(frozen=True, slots=True)
class DeploySpec:
    """toque in a cluster, as `toque deploy render` and the Helm chart make it. The running toque reads none of this."""

    image: str = setting(
        "", Setting("Image of toque: from its Containerfile, or `toque image build`. Must be given; best by digest.")
    )
    image_pull: str = setting(
        "IfNotPresent",
        Setting("When the image is pulled.", choices=("IfNotPresent", "Always", "Never")),
    )
    image_pull_secrets: tuple[str, ...] = setting((), Setting("Secrets that its registry asks for."))
    layout: str = setting(
        FLEET,
        Setting(
            "`fleet`: gateways, and controllers that serve ModelPools. `single`: one Pod that does all of it by "
            "`[models]` of the settings; the simplest, and away while that Pod is.",
            choices=(FLEET, SINGLE),
        ),
    )
    secret: str = setting(
        "toque",
        Setting(
            "Secret with the entries `token` (by which gateways and controllers prove themselves; any long text) and "
            "`keys.json` (the API keys, as `toque key` writes them)."
        ),
    )
    env_secrets: tuple[str, ...] = setting(
        (),
        Setting(
            "Secrets whose entries are in the environment of gateways and controllers: what `env:NAME` in settings means."
        ),
    )
    extra_env: Mapping[str, str] = _texts(Setting("Further variables in the environment of gateways and controllers."))
    jobs_secret: str = setting(
        "",
        Setting(
            "Secret whose entry `url` is the PostgreSQL of the job store. Empty: no batches in a fleet, for gateways share "
            "nothing else; a single Pod keeps them in its state."
        ),
    )
    state_claim: str = setting(
        "",
        Setting(
            "PersistentVolumeClaim for the state of a single Pod: usage of keys, jobs, measured starts (empty: it goes with "
            "the Pod)."
        ),
    )
    gateway: GatewayPods = field(default_factory=GatewayPods)
    controller: ControllerPods = field(default_factory=ControllerPods)
    priority: PriorityClasses = field(default_factory=PriorityClasses)
    network_policy: Walls = field(default_factory=Walls)
    service_monitor: Monitoring = field(default_factory=Monitoring)
    metrics_api: MetricsApi = field(default_factory=MetricsApi)
