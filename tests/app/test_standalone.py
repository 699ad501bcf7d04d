"""A controller that stands alone, on a machine that has nothing of Kubernetes."""

import subprocess
import sys

BARE = "import sys; sys.modules.update(kopf=None, lightkube=None, grpc=None); import toque.app.standalone"


def test_a_controller_alone_needs_no_package_of_kubernetes() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
