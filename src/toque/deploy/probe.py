"""The Pod of `helm test`: asks the gateways through their Services, as a client would.

Law: it asks and does nothing else, has no rights, and keeps to Pod Security "restricted" as every Pod does.
"""

from toque.deploy.tree import Each, Has, Item, Name, Namespace, Told, Tree, Value, When
from toque.deploy.words import METRICS_PORT, name_of, whole
from toque.kube.restricted import container_security, pod_security

ASKS = """\
import os, urllib.error, urllib.request

def status(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code

ready, closed = status(os.environ["READY"]), status(os.environ["DOOR"])
print("ready:", ready, "- without a key:", closed)
raise SystemExit(0 if (ready, closed) == (200, 401) else 1)
"""
"""What it runs."""


def probe() -> Tree:
    """Return the Pod of `helm test`: gateways are ready, and let nobody in without a key."""
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
                    "command": ["python3", "-c", ASKS],
                    "env": [
                        {"name": "READY", "value": Name("http://", f"-metrics:{METRICS_PORT}/readyz")},
                        {"name": "PORT", "value": Told("gateway.servicePort")},
                        {"name": "DOOR", "value": Name("http://", "-gateway:$(PORT)/v1/models")},
                    ],
                    "securityContext": whole(container_security()),
                }
            ],
        },
    }
