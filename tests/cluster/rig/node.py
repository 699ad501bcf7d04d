"""A virtual machine as the cluster sees it: its Node object, its Lease, and whether it is heard from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.cluster.rig.api import MERGE, STRATEGIC, Object, path_of
from tests.cluster.rig.link import Link

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Room:
    """What a machine has, in Kubernetes' own words; devices by their name in `devices`."""

    cpu: str = "8"
    memory: str = "16Gi"
    pods: int = 60
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def capacity(self) -> Mapping[str, str]:
        """As in the status of a Node."""
        devices = {name: str(count) for name, count in self.devices.items()}
        return {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), **devices}


@dataclass
class Node:
    """One machine. While it `is_up` it is heard from and starts Pods."""

    name: str
    room: Room
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]] = ()
    is_up: bool = True
    pulled: set[str] = field(default_factory=set)
    """Images that are here."""

    async def enter(self, link: Link) -> None:
        """Join the cluster, or come back."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", **self.labels}
        made: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels}}
        await link.insist("POST", path_of("nodes"), made | {"spec": {"taints": list(self.taints)}})
        holder = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": _now(micro=True)}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}}
        await link.insist("POST", path_of("leases", "kube-node-lease"), lease | {"spec": holder})
        await self.renew(link)
        await self.tell(link)

    async def tell(self, link: Link) -> None:
        """Say that all is well here, and how much room there is."""
        status = {
            "capacity": self.room.capacity,
            "allocatable": self.room.capacity,
            "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": self.name}],
            "conditions": [_condition("Ready", True), _condition("MemoryPressure", False)],
            "nodeInfo": _INFO,
        }
        await link.insist("PATCH", path_of("nodes", "", self.name, "status"), {"status": status}, STRATEGIC)

    async def renew(self, link: Link) -> None:
        """A heartbeat."""
        renewed = {"spec": {"renewTime": _now(micro=True)}}
        await link.insist("PATCH", path_of("leases", "kube-node-lease", self.name), renewed, MERGE)


def _now(*, micro: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _condition(kind: str, is_true: bool) -> Object:
    now = _now()
    return {
        "type": kind,
        "status": str(is_true),
        "reason": "Kubelet",
        "message": "as said by the rig",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


_INFO = {
    "architecture": "amd64",
    "bootID": "",
    "containerRuntimeVersion": "rig://1",
    "kernelVersion": "",
    "kubeProxyVersion": "",
    "kubeletVersion": "v1.20.2",
    "machineID": "",
    "operatingSystem": "linux",
    "osImage": "rig",
    "systemUUID": "",
}
