"""The Pod of `helm test`: asks the gateways through their Services, as a client would.

Law: it asks and does nothing else, has no rights, and keeps to Pod Security "restricted" as every Pod does.
"""

from toque.deploy.tree import Each, Has, Item, Name, Namespace, Told, Tree, Value, When
from toque.deploy.words import name_of, whole
from toque.kube.restricted import container_security, pod_security

WITHIN_S = 60
"""A release that was just installed may still be starting."""


def probe() -> Tree:
    """Return the Pod of `helm test`: it ends well when gateways take requests."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name_of("probe"),
            "namespace": Namespace(),
            "annotations": {
                "helm.sh/hook": "test",
                "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": whole(pod_security()),
            "imagePullSecrets": When(Has("imagePullSecrets"), [Each("imagePullSecrets", {"name": Item()})]),
            "containers": [
                {
                    "name": "probe",
                    "image": Value("image"),
                    "imagePullPolicy": Value("imagePull"),
                    "args": ["ready", Name("http://", "-gateway:$(PORT)"), "--within", str(WITHIN_S)],
                    "env": [{"name": "PORT", "value": Told("gateway.servicePort")}],
                    "securityContext": whole(container_security()),
                }
            ],
        },
    }
