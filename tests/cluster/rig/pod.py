"""A Pod on a virtual machine: its containers, what the cluster is told of them, and its end."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cluster.rig.api import STRATEGIC, Object, path_of
from tests.cluster.rig.container import Command, Container, Surroundings
from tests.cluster.rig.images import MISSING, Image
from tests.cluster.rig.link import Link
from tests.cluster.rig.names import Names
from tests.cluster.rig.node import ADDRESS, Node
from tests.cluster.rig.volumes import Volumes

ANYWHERE = "0.0.0.0"
FORCED_S = 2.0
"""Grace of a Pod whose object is gone already."""
PASSED_ON = ("PATH", "LANG", "PYTHONPATH")
"""Of our own environment."""


@dataclass(frozen=True)
class Premises:
    """Where a Pod is: its machine, the way to the API server, what images are, and what every container has in its environment."""

    node: Node
    link: Link
    images: Callable[[str], Image | None]
    environment: Mapping[str, str]
    names: Names


class Pod:
    """Runs from `begin` on until it is gone; `gone` is called then. `object` is as last seen."""

    def __init__(self, seen: Object, premises: Premises, address: str, folder: Path) -> None:
        self.object = seen
        self.node = premises.node
        self.address = address
        self._link = premises.link
        self._folder = folder
        self._images = premises.images
        self._environment = {**premises.environment, "HOSTNAME": str(seen["metadata"]["name"])}
        self._volumes = Volumes(seen, premises.link, folder, premises.names)
        self._began = _now()
        self._dirty = asyncio.Event()
        self._told: Object = {}
        self._turns: dict[str, tuple[str, str]] = {}
        self._happenings: list[Object] = []
        self._running: list[asyncio.Task[None]] = []
        self._is_ending = False
        spec = seen["spec"]
        always = spec.get("restartPolicy", "Always") == "Always"
        folder.mkdir(parents=True, exist_ok=True)
        around = Surroundings(
            address, folder, self._image, self._is_here, self._command, self._happened, self._dirty.set
        )
        self.containers = [Container(container, around, always) for container in spec["containers"]]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.object["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.object["metadata"]["namespace"])

    def begin(self) -> None:
        """Start its containers."""
        self._running = [asyncio.create_task(container.live()) for container in self.containers]
        self._running.append(asyncio.create_task(self._tell()))
        self._dirty.set()

    def seen(self, changed: Object) -> None:
        """Its object changed: a readiness gate perhaps, or it is to end."""
        self.object = changed
        if "deletionTimestamp" in changed["metadata"] and not self._is_ending:
            self._is_ending = True
            grace_s = float(changed["metadata"].get("deletionGracePeriodSeconds", 30))
            self._running.append(asyncio.create_task(self._end(grace_s)))
        self._dirty.set()

    async def vanish(self) -> None:
        """Its object is gone, or its machine is."""
        if not self._is_ending:
            self._is_ending = True
            await asyncio.gather(*(container.end(FORCED_S) for container in self.containers))
        await self.halt()

    async def halt(self) -> None:
        """End everything at once, and tell nobody."""
        for container in self.containers:
            container.kill()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _end(self, grace_s: float) -> None:
        """End its containers, then its object."""
        await asyncio.gather(*(container.end(grace_s) for container in self.containers))
        for task in self._running[: len(self.containers)]:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.shield(task)
        for container in self.containers:
            container.is_ready = False
        self._dirty.set()
        now = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.object["metadata"]["uid"]}}
        await self._link.insist("DELETE", path_of("pods", self.namespace, self.name), now)

    # ---- what its containers are made of

    def _image(self, name: str) -> Image:
        return self._images(name) or MISSING

    def _is_here(self, name: str) -> bool:
        return name in self.node.pulled

    async def _command(self, container: Object, image: Image) -> Command:
        self.node.pulled.add(container["image"])
        given: dict[str, str] = {}
        for each in container.get("envFrom", []):
            given |= await self._volumes.kept(each)
        given |= {each["name"]: await self._value(each) for each in container.get("env", [])}
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(self._environment)
        environment |= {"HOME": str(self._folder), "TMPDIR": str(self._folder), **image.environment, **given}
        argv = container.get("command") or list(image.entrypoint)
        argv = [_expanded(word, environment) for word in [*argv, *container.get("args", [])]]
        return Command(
            [self._placed(word) for word in argv],
            {name: self._placed(text) for name, text in environment.items()},
            await self._volumes.mounts(container),
        )

    def _placed(self, text: str) -> str:
        return text.replace(ANYWHERE, self.address)

    async def _value(self, entry: Object) -> str:
        """Find the value of one variable. Raises `LookupError` where what it refers to is missing."""
        source: Object = entry.get("valueFrom", {})
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        for reference in ("secretKeyRef", "configMapKeyRef"):
            if reference in source:
                return (await self._volumes.kept({reference.replace("Key", ""): source[reference]}))[
                    source[reference]["key"]
                ]
        return str(entry.get("value", ""))

    def _field(self, path: str) -> str:
        if path in {"status.podIP", "status.hostIP"}:
            return self.address if path == "status.podIP" else ADDRESS
        found: Any = self.object
        for step in path.split("."):
            found = found[step]
        return str(found)

    # ---- what the cluster is told

    def _happened(self, reason: str, message: str) -> None:
        now, metadata = _now(), self.object["metadata"]
        about = {"kind": "Pod", "namespace": self.namespace, "name": self.name, "uid": metadata["uid"]}
        event = {"metadata": {"generateName": f"{self.name}.", "namespace": self.namespace}, "involvedObject": about}
        told = {"reason": reason, "message": message, "type": "Normal", "firstTimestamp": now, "lastTimestamp": now}
        self._happenings.append(event | told | {"source": {"component": "kubelet", "host": self.node.name}})
        self._dirty.set()

    async def _tell(self) -> None:
        """Tell what changed; a burst of changes is told as one."""
        status_path = path_of("pods", self.namespace, self.name, "status")
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            status = self._status()
            if status != self._told:
                self._told = status
                uid = {"uid": self.object["metadata"]["uid"]}
                await self._link.insist("PATCH", status_path, {"metadata": uid, "status": status}, STRATEGIC)
            happenings, self._happenings = self._happenings, []
            for event in happenings:
                await self._link.insist("POST", path_of("events", self.namespace), event)

    def _status(self) -> Object:
        are_ready = all(container.is_ready for container in self.containers) and self._phase() == "Running"
        gates = [gate["conditionType"] for gate in self.object["spec"].get("readinessGates", [])]
        seen = self.object.get("status", {}).get("conditions", [])
        known = {condition["type"]: condition["status"] for condition in seen}
        is_ready = are_ready and all(known.get(gate) == "True" for gate in gates)
        conditions = {"Initialized": True, "ContainersReady": are_ready, "Ready": is_ready}
        return {
            "phase": self._phase(),
            "hostIP": ADDRESS,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self._began,
            "conditions": [self._condition(kind, is_true) for kind, is_true in conditions.items()],
            "containerStatuses": [container.status() for container in self.containers],
        }

    def _phase(self) -> str:
        if all(container.is_over for container in self.containers):
            codes = [container.state["terminated"]["exitCode"] for container in self.containers]
            return "Failed" if any(codes) else "Succeeded"
        has_begun = all(container.restarts or "waiting" not in container.state for container in self.containers)
        return "Running" if has_begun else "Pending"

    def _condition(self, kind: str, is_true: bool) -> Object:
        status, since = self._turns.get(kind, ("", ""))
        if status != str(is_true):
            since = _now()
            self._turns[kind] = (str(is_true), since)
        return {"type": kind, "status": str(is_true), "lastTransitionTime": since}


def _expanded(word: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
