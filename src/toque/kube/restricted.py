"""What Pod Security "restricted" asks of a Pod and of each of its containers, and a little more: a root nobody writes to.

Law: every Pod that toque makes says this, its own and its replicas'.
"""

from toque.kube.words import Manifest

NOBODY = 65532
"""Who everything runs as; the user of images that `toque image build` makes."""


def pod_security() -> Manifest:
    """Return the security context of a Pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": NOBODY,
        "runAsGroup": NOBODY,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return the security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
