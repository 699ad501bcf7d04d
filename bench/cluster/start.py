"""Decision to Pod ready: a replica that toque orders, beside a bare `kubectl scale` of an equal Deployment, on a real control plane.

Law: rounds are interleaved, both sides are seen by the same watch, and from the same moment on: just before somebody says "one more".
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster.place import Place, namespace, running
from tests.cluster.rig import MissingError
from tests.cluster.rig.api import path_of, trusting
from tests.cluster.served import change, served, settings
from tests.service import Service, until

BOUNDS = "minimum_warm = 0, maximum = 4, target = {}, scale_down_delay_s = 0.1, step_down_max = 4"
BARE = "bare"
PHASES = ("scheduled", "started", "loaded", "ready")


def start(folder: Path, *, quick: bool) -> Sequence[Mapping[str, object]]:
    """One row a side, and one for what is between them; without the control plane's binaries a word."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with running(folder / "cluster") as cluster, namespace(cluster) as place, watched(place) as watch:
            return _rounds(folder, place, watch, 2 if quick else 5)
    except MissingError as error:
        return [{"side": f"not measured: {error}"}]


class Watch:
    """When Pods became ready, by name, on the monotonic clock."""

    def __init__(self) -> None:
        self.ready: dict[str, float] = {}
        self.there: set[str] = set()

    def saw(self, what: str, pod: Mapping[str, Any]) -> None:
        """Take a change in."""
        name = pod["metadata"]["name"]
        if what == "DELETED":
            self.there.discard(name)
            return
        self.there.add(name)
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        if conditions.get("Ready") == "True":
            self.ready.setdefault(name, time.monotonic())

    def news(self, before: frozenset[str]) -> float | None:
        """When the first Pod became ready that was not there before."""
        return min((at for name, at in dict(self.ready).items() if name not in before), default=None)


@contextmanager
def watched(place: Place) -> Iterator[Watch]:
    """Follow the Pods of a place from a thread."""
    plane, watch = place.cluster.plane, Watch()
    headers = {"Authorization": f"Bearer {plane.token()}"}
    with httpx2.Client(base_url=plane.url, verify=trusting(plane.authority), headers=headers, timeout=None) as client:
        thread = threading.Thread(target=_follow, args=(client, path_of("pods", place.namespace), watch), daemon=True)
        thread.start()
        yield watch


def _follow(client: httpx2.Client, path: str, watch: Watch) -> None:
    try:
        with client.stream("GET", path, params={"watch": "1"}) as answer:
            for line in answer.iter_lines():
                told = json.loads(line)
                watch.saw(told["type"], told["object"])
    except httpx2.HTTPError:
        return  # the place is closed


def _rounds(folder: Path, place: Place, watch: Watch, rounds: int) -> Sequence[Mapping[str, object]]:
    bare_s: list[float] = []
    ordered_s: list[float] = []
    phases: list[Mapping[str, float]] = []
    with served(folder, settings(place, BOUNDS.format(1))) as service:
        service.ready(1)
        _make_bare(place)
        until(lambda: len(watch.ready) == 2)
        for _ in range(rounds):
            bare_s.append(_one_more_bare(place, watch))
            took_s, seen = _one_more_ordered(folder, place, service, watch)
            ordered_s.append(took_s)
            phases.append(seen)
    between = [ordered - bare for ordered, bare in zip(ordered_s, bare_s, strict=True)]
    steps = {phase: [each[phase] for each in phases] for phase in PHASES}
    return [
        _row("kubectl scale of an equal Deployment", "Pod ready", bare_s),
        _row("toque, told one more", "Pod ready", ordered_s),
        _row("between them, round by round", "Pod ready", between),
        *(_row("toque, from its order", phase, seconds) for phase, seconds in steps.items()),
    ]


def _row(side: str, until_what: str, seconds: Sequence[float]) -> Mapping[str, object]:
    told = tuple(round(each, 3) for each in (median(seconds), min(seconds), max(seconds)))
    return {"side": side, "until": until_what, "seconds": told, "rounds": len(seconds)}


def _make_bare(place: Place) -> None:
    """A Deployment of the same Pods that nobody keeps."""
    (made,) = place.api.list("deployments")
    labels = {"app": BARE}
    template = made["spec"]["template"]
    template["metadata"] = {"labels": labels}
    del template["spec"]["readinessGates"]
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    place.api.create("deployments", {"metadata": {"name": BARE}, "spec": spec})


def _one_more_bare(place: Place, watch: Watch) -> float:
    before, began = frozenset(watch.ready), time.monotonic()
    place.api.patch("deployments", BARE, {"spec": {"replicas": 2}}, "scale")
    took_s = _ready_after(watch, before, began)
    place.api.patch("deployments", BARE, {"spec": {"replicas": 1}}, "scale")
    until(lambda: len(watch.there) == 2)
    return took_s


def _one_more_ordered(folder: Path, place: Place, service: Service, watch: Watch) -> tuple[float, Mapping[str, float]]:
    before, began = frozenset(watch.ready), time.monotonic()
    change(folder, service, settings(place, BOUNDS.format(2)))
    took_s = _ready_after(watch, before, began)
    service.ready(2)
    newest = max(service.replicas(), key=lambda row: row["replica"]["id"])
    change(folder, service, settings(place, BOUNDS.format(1)))
    until(lambda: len(watch.there) == 2)
    return took_s, dict(newest["status"]["phases"])


def _ready_after(watch: Watch, before: frozenset[str], began: float) -> float:
    at = until(lambda: watch.news(before), 60.0)
    return float(at) - began
