"""Deployments without ReplicaSets, schedulers or kubelets: the Pods a Deployment wants are there at once, spread over nodes, and ready.

Law: of Pods that must go, those that are not ready go first, as in Kubernetes.
"""

from itertools import count

from objects import Object, Objects, Place

PODS = Place("api/v1", "pods")
DEPLOYMENTS = Place("apis/apps/v1", "deployments")
NODES = 1000
SERVING = "toque.dev/serving"


class Deployments:
    """Acts on Deployments, and on readiness gates of their Pods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._numbers = count(1)
        self._pods: dict[tuple[str, str], dict[str, bool]] = {}
        """By Deployment: its Pods, and whether each is ready."""

    def changed(self, place: Place, changed: Object, *, is_gone: bool) -> None:
        """Do what Kubernetes would."""
        if place.anywhere == DEPLOYMENTS:
            self._scale(place.namespace, changed, 0 if is_gone else int(changed["spec"].get("replicas", 1)))
        elif place.anywhere == PODS:
            self._note(place, changed, is_gone=is_gone)

    def _scale(self, namespace: str, deployment: Object, wanted: int) -> None:
        name = deployment["metadata"]["name"]
        pods = self._pods.setdefault((namespace, name), {})
        place = Place(PODS.group, PODS.kind, namespace)
        for _ in range(wanted - len(pods)):
            pod = self._pod(deployment, next(self._numbers))
            pods[pod["metadata"]["name"]] = False
            self._objects.put(place, pod)
        for gone in sorted(pods, key=pods.__getitem__)[: max(0, len(pods) - wanted)]:
            self._objects.remove(place, gone)

    def _note(self, place: Place, pod: Object, *, is_gone: bool) -> None:
        """A Pod is ready when its gate is on."""
        metadata = pod["metadata"]
        owner = metadata["annotations"]["bench/deployment"]
        pods = self._pods.get((place.namespace, owner), {})
        if is_gone:
            pods.pop(metadata["name"], None)
            return
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        is_ready = conditions.get(SERVING) == "True"
        pods[metadata["name"]] = is_ready
        if (conditions.get("Ready") == "True") != is_ready:
            ready = {"type": "Ready", "status": str(is_ready)}
            self._objects.change(place, metadata["name"], {"status": {"conditions": [ready]}})

    def _pod(self, deployment: Object, number: int) -> Object:
        template, name = deployment["spec"]["template"], deployment["metadata"]["name"]
        container = template["spec"]["containers"][0]["name"]
        on = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady")]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{number:05d}",
                "labels": template["metadata"]["labels"],
                "annotations": {"bench/deployment": name},
            },
            "spec": {**template["spec"], "nodeName": f"node-{number % NODES:04d}"},
            "status": {
                "phase": "Running",
                "podIP": f"127.1.{number // 250}.{1 + number % 250}",
                "conditions": [*on, {"type": "Ready", "status": "False"}],
                "containerStatuses": [
                    {
                        "name": container,
                        "image": "bench",
                        "imageID": "bench",
                        "ready": True,
                        "restartCount": 0,
                        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                    }
                ],
            },
        }
