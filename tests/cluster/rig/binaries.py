"""Where the control plane's binaries lie: `TOQUE_KUBE_BIN`, else the cache that `.ci/kubernetes` fills; etcd and kubectl on PATH too."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "toque" / "kubernetes"
NEEDED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "openssl", "setpriv")


class MissingError(Exception):
    """A binary is not on this machine."""


def find_binaries(*names: str) -> Mapping[str, str]:
    """Return the path of each. Raises `MissingError` naming the first that is not there."""
    folder = Path(os.environ.get("TOQUE_KUBE_BIN", CACHE))
    found: dict[str, str] = {}
    for name in names or NEEDED:
        path = shutil.which(name, path=str(folder)) or shutil.which(name)
        if path is None:
            raise MissingError(f"{name} is not in {folder} nor on PATH; `bash .ci/kubernetes` puts it there")
        found[name] = path
    return found
