"""Names of Services, as a cluster's DNS answers for headless ones: a file of hosts for each namespace, kept up with what is there.

Endpoints say nothing here, for Kubernetes takes no loopback address into them. A Service's own port is not known either: whoever
asks by a name asks at the port of a Pod.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.cluster.rig.api import Object, RefusedError, path_of
from tests.cluster.rig.link import AGAIN_S, UNREACHABLE, Link, lapse

HOSTS = Path("/etc/hosts")


class Names:
    """`pods` are all Pods there are, by anything. Files are rewritten in place, so that whoever has one mounted sees the change."""

    def __init__(self, folder: Path, pods: Callable[[], Mapping[str, Object]]) -> None:
        self._folder = folder
        self._pods = pods
        self._services: dict[tuple[str, str], Object] = {}

    def file(self, namespace: str) -> Path:
        """Return the file of a namespace."""
        path = self._folder / f"{namespace}.hosts"
        if not path.exists():
            self._write(namespace)
        return path

    def has_any(self, namespace: str) -> bool:
        """Whether there is a Service to ask by its name."""
        return any(place[0] == namespace for place in self._services)

    def pod_changed(self, namespace: str) -> None:
        """A Pod came, changed or went."""
        if self.has_any(namespace):
            self._write(namespace)

    def _write(self, namespace: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        services = [service for place, service in self._services.items() if place[0] == namespace]
        text = HOSTS.read_text() + "".join(line for service in services for line in self._lines(service))
        path = self._folder / f"{namespace}.hosts"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    async def follow(self, link: Link) -> None:
        """Follow all Services."""
        while True:
            try:
                listed = await link.call("GET", path_of("services"))
                self._services = {_place(each): each for each in listed["items"]}
                for namespace in {namespace for namespace, _ in self._services}:
                    self._write(namespace)
                async for what, each in link.watch(path_of("services"), listed["metadata"]["resourceVersion"]):
                    if what == "DELETED":
                        self._services.pop(_place(each), None)
                    else:
                        self._services[_place(each)] = each
                    self._write(_place(each)[0])
            except (RefusedError, *UNREACHABLE):
                await lapse(AGAIN_S)

    def _lines(self, service: Object) -> Iterator[str]:
        namespace, name = _place(service)
        spec = service["spec"]
        for pod in self._pods().values():
            if _place(pod)[0] == namespace and _is_chosen(pod, spec):
                yield f"{pod['status']['podIP']} {name} {name}.{namespace} {name}.{namespace}.svc\n"


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _is_chosen(pod: Object, spec: Object) -> bool:
    labels, selector = pod["metadata"].get("labels", {}), spec.get("selector") or {}
    if not selector or selector.items() - labels.items() or "podIP" not in pod.get("status", {}):
        return False
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    return ready or bool(spec.get("publishNotReadyAddresses"))
