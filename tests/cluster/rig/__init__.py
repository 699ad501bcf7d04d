"""A real Kubernetes for tests and benchmarks: its control plane as processes on loopback, and machines, most of them virtual.

`ControlPlane` is etcd, kube-apiserver, kube-controller-manager and kube-scheduler. `Machines` are Nodes whose Pods are local
processes, each Pod at a loopback address of its own; `machine.Machine` is a real one, with containerd and the kubelet. Law: nothing
here is toque's, and nothing knows pytest, so that `bench/cluster` may use the same; whatever is started is ended by its process id,
after a failed start too.
"""

from tests.cluster.rig.api import Api, RefusedError, until
from tests.cluster.rig.binaries import MissingError, find_binaries
from tests.cluster.rig.control_plane import ControlPlane
from tests.cluster.rig.images import Image
from tests.cluster.rig.machines import Machines
from tests.cluster.rig.node import Room

__all__ = ["Api", "ControlPlane", "Image", "Machines", "MissingError", "RefusedError", "Room", "find_binaries", "until"]
