"""The parts that each component has: its processes, Services, budgets, and what may be known of it.

Law: gateways have no rights in the cluster, unless one of them does it all (`single`); controllers have those of `kube.rights`.
"""

from toque.deploy import metrics_api
from toque.deploy.process import Process, deployment, given, port, service_account, variable
from toque.deploy.tree import (
    Api,
    Both,
    Each,
    Has,
    Is,
    Item,
    Joined,
    Key,
    Name,
    Namespace,
    Not,
    Since,
    Tree,
    Value,
    When,
)
from toque.deploy.words import (
    API_PORT,
    CLUSTER_PORT,
    CONTROLLER,
    GATEWAY,
    KEDA_PORT,
    METRICS_PORT,
    SECRET_DIR,
    SETTINGS_FILE,
    STATE_DIR,
    Table,
    labels,
    leader,
    metadata,
    name_of,
)
from toque.kube import rights
from toque.model.deploy_spec import FLEET, SINGLE

IS_FLEET, IS_SINGLE = Is("layout", FLEET), Is("layout", SINGLE)
_RBAC = "rbac.authorization.k8s.io"
_JOBS = "TOQUE_JOBS_URL"
_SLEEP: Table = {"sleep": {"seconds": Value("gateway.lingerS")}}
SLEEP_SINCE = 30
"""The Kubernetes 1.x that waits for a while by itself before it ends a container, without a shell in it."""


def gateway() -> list[Tree]:
    """Return what gateways are made of."""
    return [
        service_account(GATEWAY),
        When(IS_SINGLE, role(GATEWAY, rights.GATEWAY)),
        When(IS_SINGLE, binding(GATEWAY)),
        _gateway_service(),
        _metrics_service(),
        deployment(_gateway_process()),
        When(Both(IS_FLEET, Has("gateway.disruptionsMax")), budget(GATEWAY)),
        When(Both(IS_FLEET, Has("gateway.podsMax")), _autoscaler()),
    ]


def controller() -> list[Tree]:
    """Return what controllers are made of, for a fleet."""
    parts: list[Tree] = [
        service_account(CONTROLLER),
        role(CONTROLLER, rights.CONTROLLER),
        binding(CONTROLLER),
        _controller_service(),
        deployment(_controller_process()),
    ]
    return [
        *(When(IS_FLEET, part) for part in parts),
        When(Both(IS_FLEET, Has("controller.keda")), _keda_service()),
        When(Both(IS_FLEET, Has("controller.disruptionsMax")), budget(CONTROLLER)),
    ]


def settings() -> Tree:
    """Return the ConfigMap with the settings that both are given."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("settings"),
        "data": {SETTINGS_FILE: Value("config")},
    }


def models() -> Tree:
    """Return the ModelPools of a fleet."""
    pool: Table = {
        "apiVersion": "toque.dev/v1alpha1",
        "kind": "ModelPool",
        "metadata": {"name": Key(), "namespace": Namespace(), "labels": {"app.kubernetes.io/name": "toque"}},
        "spec": Item(),
    }
    return When(IS_FLEET, Each("models", pool))


def budget(component: str) -> Table:
    """Return the PodDisruptionBudget of a component."""
    return {
        "apiVersion": Api("policy/v1", 21, "policy/v1beta1"),
        "kind": "PodDisruptionBudget",
        "metadata": metadata(component),
        "spec": {
            "maxUnavailable": Value(f"{component}.disruptionsMax"),
            "selector": {"matchLabels": labels(component)},
        },
    }


# ---- processes -------------------------------------------------------------------------------------------------------


def _gateway_process() -> Process:
    emptied: Table = {"name": "state", "emptyDir": {}}
    claimed: Table = {"name": "state", "persistentVolumeClaim": {"claimName": Value("stateClaim")}}
    return Process(
        component=GATEWAY,
        table="gateway",
        args=("up",),
        env=_gateway_env(),
        ports=(port("http", API_PORT), port("metrics", METRICS_PORT)),
        pods=When(IS_SINGLE, 1, When(Not(Has("gateway.podsMax")), Value("gateway.pods"))),
        grace_s=Value("gateway.terminationGraceS"),
        strategy=When(IS_SINGLE, {"type": "Recreate"}, _rolling()),
        works_in_cluster=When(IS_SINGLE, True, False),  # noqa: FBT003 - values of a manifest
        env_from=When(Has("envSecrets"), [Each("envSecrets", {"secretRef": {"name": Item()}})]),
        lifecycle={"lifecycle": When(Both(Since(SLEEP_SINCE), Has("gateway.lingerS")), {"preStop": _SLEEP})},
        state=When(Both(IS_SINGLE, Has("stateClaim")), claimed, emptied),
    )


def _gateway_env() -> list[Tree]:
    url: Table = {"name": _JOBS, "valueFrom": {"secretKeyRef": {"name": Value("jobsSecret"), "key": "url"}}}
    in_fleet: list[Tree] = [
        {"name": "TOQUE_CLUSTER_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        variable("TOQUE_CLUSTER_CONTROLLERS", Name('["', f'-controller:{CLUSTER_PORT}"]')),
        variable("TOQUE_CLUSTER_TOKEN", f"file:{SECRET_DIR}/token"),
    ]
    return [
        variable("TOQUE_LISTEN", f"0.0.0.0:{API_PORT}"),
        variable("TOQUE_METRICS_LISTEN", f"0.0.0.0:{METRICS_PORT}"),
        variable("TOQUE_KEYS_FILE", f"{SECRET_DIR}/keys.json"),
        variable("TOQUE_RECORDS_STATE_DIR", STATE_DIR),
        *(When(IS_FLEET, entry) for entry in in_fleet),
        *(When(IS_SINGLE, entry) for entry in _driver_env()),
        given("jobsSecret", url),
        given("jobsSecret", variable("TOQUE_JOBS_STORE", f"env:{_JOBS}")),
        When(Both(IS_FLEET, Not(Has("jobsSecret"))), variable("TOQUE_JOBS_STORE", "off")),
    ]


def _controller_process() -> Process:
    keda = variable("TOQUE_ADVICE_KEDA", f"0.0.0.0:{KEDA_PORT}")
    return Process(
        component=CONTROLLER,
        table="controller",
        args=("controller",),
        env=[
            variable("TOQUE_CLUSTER_LISTEN", f"0.0.0.0:{CLUSTER_PORT}"),
            variable("TOQUE_CLUSTER_TOKEN", f"file:{SECRET_DIR}/token"),
            variable("TOQUE_METRICS_LISTEN", f"0.0.0.0:{METRICS_PORT}"),
            variable("TOQUE_RECORDS_STATE_DIR", STATE_DIR),
            *_driver_env(),
            given("controller.keda", keda),
            *metrics_api.environment(),
        ],
        ports=[
            port("cluster", CLUSTER_PORT),
            port("metrics", METRICS_PORT),
            given("controller.keda", port("keda", KEDA_PORT)),
            *metrics_api.ports(),
        ],
        pods=Value("controller.pods"),
        grace_s=30,
        strategy=_rolling(),
        works_in_cluster=True,
        env_from=When(Has("envSecrets"), [Each("envSecrets", {"secretRef": {"name": Item()}})]),
        state={"name": "state", "emptyDir": {}},
        volumes=metrics_api.volumes(),
        mounts=metrics_api.mounts(),
    )


def _driver_env() -> list[Tree]:
    """Replicas outlive whoever started them: the next one takes them over."""
    return [
        variable("TOQUE_DRIVER", "kubernetes"),
        variable("TOQUE_KUBERNETES_FLEET", Name()),
        variable("TOQUE_KUBERNETES_KEEP", "true"),
    ]


def _rolling() -> Table:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


# ---- how they are reached --------------------------------------------------------------------------------------------


def _service(component: str, name: str, ports: list[Tree], **spec: Tree) -> Table:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(component, name_of(name)),
        "spec": {**spec, "selector": labels(component), "ports": ports},
    }


def _door(name: str, number: Tree) -> Table:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}


def _gateway_service() -> Table:
    made = _service(GATEWAY, GATEWAY, [_door("http", Value("gateway.servicePort"))], type=Value("gateway.serviceType"))
    notes = When(Has("gateway.serviceAnnotations"), Joined({}, "gateway.serviceAnnotations"))
    return {**made, "metadata": metadata(GATEWAY, annotations=notes)}


def _metrics_service() -> Table:
    """Metrics have a Service of their own, so that a load balancer in front of the API does not show them."""
    return _service(GATEWAY, "metrics", [_door("metrics", METRICS_PORT)], clusterIP="None")


def _controller_service() -> Table:
    """All controllers' addresses: gateways try each until the leader answers, ready or not."""
    doors: list[Tree] = [
        _door("cluster", CLUSTER_PORT),
        _door("metrics", METRICS_PORT),
    ]
    return _service(CONTROLLER, CONTROLLER, doors, clusterIP="None", publishNotReadyAddresses=True)


def _keda_service() -> Table:
    """The leader alone: KEDA asks one address, and others would only say who leads."""
    made = _service(CONTROLLER, "keda", [_door("keda", KEDA_PORT)])
    return {**made, "spec": {"selector": leader(), "ports": [_door("keda", KEDA_PORT)]}}


def _autoscaler() -> Table:
    target: Table = {"type": "Utilization", "averageUtilization": Value("gateway.cpuPercent")}
    return {
        "apiVersion": Api("autoscaling/v2", 23, "autoscaling/v2beta2"),
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(GATEWAY),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name_of(GATEWAY)},
            "minReplicas": Value("gateway.pods"),
            "maxReplicas": Value("gateway.podsMax"),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


# ---- what they may do ------------------------------------------------------------------------------------------------


def role(component: str, rules: rights.Rules) -> Table:
    """Return the Role of a component."""
    return {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata(component), "rules": rules}


def binding(component: str) -> Table:
    """Return what gives a component's ServiceAccount its Role."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata(component),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name_of(component)},
        "subjects": [{"kind": "ServiceAccount", "name": name_of(component), "namespace": Namespace()}],
    }
