"""Virtual machines of a cluster: Nodes with heartbeats, on which Pods are local processes ("virtual kubelets").

They live on an event loop in a thread of their own, so stories of every kind can have them; every method here may be called from
any other thread. Law: one watch for all machines; no process outlives `stop`.
"""

import asyncio
import itertools
import os
import signal
import threading
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.cluster.rig.api import Object, RefusedError, path_of, until
from tests.cluster.rig.control_plane import ControlPlane
from tests.cluster.rig.images import Image
from tests.cluster.rig.link import AGAIN_S, UNREACHABLE, Link, lapse
from tests.cluster.rig.names import Names
from tests.cluster.rig.node import ADDRESS, Node, Room
from tests.cluster.rig.pod import Pod, Premises
from tests.cluster.rig.volumes import forget_mount_points

HEARTBEAT_S = 1.0
STATUS_BEATS = 4
"""A kubelet looks every ten seconds what the cluster thinks of it."""
_T = TypeVar("_T")


class Machines:
    """`images` by their whole reference; what is not in it is missing. It may change at any time."""

    def __init__(self, plane: ControlPlane, folder: Path, images: Mapping[str, Image]) -> None:
        self.images = dict(images)
        self._names = Names(folder, lambda: self._seen)
        self._plane = plane
        self._folder = folder
        self._admin = plane.api()
        self._nodes: dict[str, Node] = {}
        self._pods: dict[str, Pod] = {}
        self._seen: dict[str, Object] = {}
        """Every Pod that has a machine, by its uid."""
        self._addresses = (f"127.{16 + os.getpid() % 200}.{n // 250}.{n % 250 + 1}" for n in itertools.count())
        self._environment = {"KUBERNETES_SERVICE_HOST": ADDRESS, "KUBERNETES_SERVICE_PORT": str(plane.port)}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="machines")

    # ---- for stories

    def start(self) -> None:
        """Begin; there are no machines yet."""
        self._thread.start()
        self._link: Link = self._do(self._open())

    def stop(self) -> None:
        """End all processes, and tell the cluster nothing."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        forget_mount_points()

    def add(
        self,
        name: str,
        room: Room | None = None,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Add a machine and wait until Pods may run on it."""
        node = Node(name, room or Room(), labels or {}, taints)
        self._do(node.enter(self._link))
        self._nodes[name] = node
        until(lambda: not self._is_avoided(name))

    def remove(self, name: str) -> None:
        """Take a machine out of the cluster, with whatever runs on it."""
        self.crash(name)
        del self._nodes[name]
        self._admin.delete("nodes", name)

    def silence(self, name: str) -> None:
        """Its network to the control plane is gone: what runs on it runs on, and nobody hears of it."""
        self._nodes[name].is_up = False

    def crash(self, name: str) -> None:
        """It loses power."""
        self._nodes[name].is_up = False
        self._do(self._halt(name))

    def revive(self, name: str) -> None:
        """It is back; Pods that are still its own are started, or go on."""
        node = self._nodes[name]
        node.is_up = True
        self._do(node.enter(self._link))
        self._do(self._catch_up())

    def pod(self, namespace: str, name: str) -> Pod:
        """Return a Pod that is on one of these machines."""
        return next(pod for pod in list(self._pods.values()) if (pod.namespace, pod.name) == (namespace, name))

    def pid(self, namespace: str, name: str) -> int:
        """Return the process id of the first container of a Pod."""
        process = self.pod(namespace, name).containers[0].process
        assert process is not None, f"{name} does not run"
        return process.pid

    def kill(self, namespace: str, name: str, number: int = signal.SIGKILL, reason: str = "") -> None:
        """Send a signal to the first container of a Pod; its end is put down to `reason`, such as OOMKilled."""
        container = self.pod(namespace, name).containers[0]
        container.end_reason = reason
        self._loop.call_soon_threadsafe(container.kill, number)

    def output(self, namespace: str, name: str) -> str:
        """Return what the containers of a Pod have written."""
        logs = sorted(self._place(self.pod(namespace, name).object).glob("*.log"))
        return "".join(log.read_text(errors="replace") for log in logs)

    # ---- on the loop

    def _do(self, what: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _open(self) -> Link:
        link = Link(self._plane.url, self._plane.authority, self._plane.token())
        self._tasks = [
            asyncio.create_task(task) for task in (self._follow(link), self._beat(link), self._names.follow(link))
        ]
        for task in self._tasks:
            task.add_done_callback(_complain)
        return link

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pod.halt() for pod in self._pods.values()))
        await self._link.close()

    async def _beat(self, link: Link) -> None:
        for beat in itertools.count(1):
            nodes = [node for node in list(self._nodes.values()) if node.is_up]
            await asyncio.gather(*(node.renew(link) for node in nodes))
            if beat % STATUS_BEATS == 0:  # whoever doubted it meanwhile is told
                await asyncio.gather(*(node.tell(link) for node in nodes))
            await lapse(HEARTBEAT_S)

    async def _follow(self, link: Link) -> None:
        """Follow all Pods that have a machine."""
        while True:
            try:
                listed = await link.call("GET", path_of("pods"))
                self._seen = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
                await self._catch_up()
                async for what, pod in link.watch(path_of("pods"), listed["metadata"]["resourceVersion"]):
                    self._take(what, pod)
            except (RefusedError, *UNREACHABLE):
                await lapse(AGAIN_S)

    async def _catch_up(self) -> None:
        for uid in self._pods.keys() - self._seen.keys():
            self._vanish(uid)
        for pod in list(self._seen.values()):
            self._take("MODIFIED", pod)

    def _take(self, what: str, seen: Object) -> None:
        """Take a change in: 1. not ours, or its machine hears nothing; 2. gone; 3. known; 4. new."""
        uid, node = seen["metadata"]["uid"], self._nodes.get(seen["spec"].get("nodeName", ""))
        if what == "DELETED":
            self._seen.pop(uid, None)
        else:
            self._seen[uid] = seen
        self._names.pod_changed(seen["metadata"]["namespace"])
        if node is None or not node.is_up:  # 1
            return
        pod = self._pods.get(uid)
        if what == "DELETED":  # 2
            self._vanish(uid)
        elif pod is not None:  # 3
            pod.seen(seen)
        elif seen.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:  # 4
            premises = Premises(node, self._link, self.images.get, self._environment, self._names)
            pod = Pod(seen, premises, next(self._addresses), self._place(seen))
            self._pods[uid] = pod
            pod.begin()
            pod.seen(seen)

    def _vanish(self, uid: str) -> None:
        if pod := self._pods.pop(uid, None):
            self._tasks.append(asyncio.create_task(pod.vanish()))

    async def _halt(self, name: str) -> None:
        for uid, pod in list(self._pods.items()):
            if pod.node.name == name:
                del self._pods[uid]
                await pod.halt()

    def _place(self, pod: Object) -> Path:
        return self._folder / pod["metadata"]["uid"]

    def _is_avoided(self, name: str) -> bool:
        taints = self._admin.get("nodes", name)["spec"].get("taints", [])
        return any(taint["key"].startswith("node.kubernetes.io/") for taint in taints)


def _complain(task: asyncio.Task[None]) -> None:
    """A mistake of the rig's own is not to be looked for in the cluster."""
    if not task.cancelled() and (error := task.exception()):
        traceback.print_exception(error)
