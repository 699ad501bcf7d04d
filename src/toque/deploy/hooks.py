"""What only Helm has: the Pod of `helm test`, and the Job that drains a fleet before a release is removed.

Law: each has the rights that it needs and no others, and keeps to Pod Security "restricted" as every Pod does.
"""

from toque.deploy.parts import IS_FLEET, binding, role
from toque.deploy.process import given, service_account
from toque.deploy.tree import Both, Each, Has, Item, Name, Told, Tree, Value, When
from toque.deploy.words import Table, metadata, name_of, whole
from toque.kube.restricted import container_security, pod_security
from toque.kube.rights import DRAIN

PROBE, DRAINER = "probe", "drain"
WITHIN_S = 60
"""A release that was just installed may still be starting."""
DRAIN_S = 240
"""Less than the five minutes that Helm waits for a hook."""


def probe() -> Tree:
    """Return the Pod of `helm test`: it ends well when gateways take requests."""
    args: list[Tree] = ["ready", Name("http://", "-gateway:$(PORT)"), "--within", str(WITHIN_S)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(PROBE, annotations=_hook("test")),
        "spec": _pod(PROBE, args, [{"name": "PORT", "value": Told("gateway.servicePort")}]),
    }


def drain() -> list[Tree]:
    """Return the Job that runs before a fleet is removed, and what it is allowed."""
    env: list[Tree] = [
        {"name": "TOQUE_KUBERNETES_FLEET", "value": Name()},
        {"name": "TOQUE_LISTEN", "value": "127.0.0.1:8080"},  # an image may say another, which would ask for keys
    ]
    pod = _pod(DRAINER, ["deploy", "drain", "--within", str(DRAIN_S)], env)
    job: Table = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(DRAINER, annotations=_hook("pre-delete", 1)),
        "spec": {
            "backoffLimit": 2,
            "template": {
                "metadata": {"labels": metadata(DRAINER)["labels"]},
                "spec": {**pod, "serviceAccountName": name_of(DRAINER), "automountServiceAccountToken": True},
            },
        },
    }
    allowed = (service_account(DRAINER), role(DRAINER, DRAIN), binding(DRAINER))
    hooked: list[Tree] = [
        {**each, "metadata": metadata(DRAINER, annotations=_hook("pre-delete", 0))} for each in allowed
    ]
    return [When(Both(IS_FLEET, Has("controller.drain")), each) for each in [*hooked, job]]


def _hook(when: str, weight: int = 0) -> Table:
    return {
        "helm.sh/hook": when,
        "helm.sh/hook-weight": str(weight),
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }


def _pod(name: str, args: list[Tree], env: list[Tree]) -> Table:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": whole(pod_security()),
        "imagePullSecrets": When(Has("imagePullSecrets"), [Each("imagePullSecrets", {"name": Item()})]),
        "nodeSelector": given("controller.nodeSelector"),
        "containers": [
            {
                "name": name,
                "image": Value("image"),
                "imagePullPolicy": Value("imagePull"),
                "args": args,
                "env": env,
                "securityContext": whole(container_security()),
                "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the Pod's own
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
