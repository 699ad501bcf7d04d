"""toque put into a real cluster by kubectl or helm, as its guide says, and asked at its Pods' addresses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import choice
from typing import Any

from tests.cli.screen import Screen
from tests.cluster.place import TOQUE, Place
from tests.cluster.served import pods
from tests.deploy.helm import CHART, Program, find
from tests.service import call, request, until

SETTINGS = """
driver = "kubernetes"
lame_duck_s = 0.5
[kubernetes]
namespace = "{namespace}"
[models.chat]
agent = "fake"
slots = 4
options = {{ ttft_s = 0.02, tokens = 5 }}
replicas = {{ minimum_warm = 1, maximum = 2 }}
pod = {{ image = "{image}", termination_grace_s = 5, disruptions_max = 1 }}
[deploy]
layout = "{layout}"
image = "{image}"
extra_env = {{ TOQUE_ADMIN_LISTEN = "off" }}
[deploy.gateway]
cpu = "100m"
memory = "64Mi"
termination_grace_s = 10
"""
"""Pods of the rig share one loopback: none of them may have its admin listener there."""
KINDS = [
    "configmaps",
    "serviceaccounts",
    "services",
    "roles",
    "rolebindings",
    "deployments",
    "poddisruptionbudgets",
    "networkpolicies",
    "modelpools",
]


@dataclass(frozen=True)
class Deployed:
    """A namespace of a cluster that toque is put into from `folder`. `key` is whose API key it knows."""

    place: Place
    folder: Path
    key: str
    kubectl: Program

    def write(self, layout: str = "single", image: str = TOQUE) -> None:
        """Write toque.toml."""
        text = SETTINGS.format(namespace=self.place.namespace, layout=layout, image=image)
        (self.folder / "toque.toml").write_text(text)

    def printed(self, *words: str) -> str:
        """Return what `toque deploy` prints."""
        return printed("deploy", *words, "--config", str(self.folder / "toque.toml"))

    def apply(self, *words: str) -> list[str]:
        """`toque deploy render` into `kubectl apply`; returns what was said of each object."""
        return self.kubectl.run(
            "apply", "-f", "-", typed=self.printed("render", "--kubernetes", "1.20", *words)
        ).splitlines()

    def helm(self) -> Program:
        """helm, in this namespace."""
        program = self.kubectl
        return Program(find("helm"), program.home, ("--namespace", self.place.namespace), program.environment)

    def install(self, *words: str, **values: Any) -> str:
        """`helm upgrade --install` with the values of toque.toml, and these; a cluster as old as this takes no CRD from a chart."""
        typed = self.printed("values")
        sets = [f"--set-json={name.replace('__', '.')}={json.dumps(value)}" for name, value in values.items()]
        order = ("upgrade", "--install", "toque", str(CHART), "--values", "-", "--skip-crds", *sets, *words)
        return self.helm().run(*order, typed=typed)

    def marks(self) -> Mapping[str, str]:
        """The version of every object that is ours to change: another one, if anything about it is another."""
        found = {kind: self.place.api.list(kind) for kind in KINDS if kind != "modelpools"}
        return {
            f"{kind}/{each['metadata']['name']}": _mark(each)
            for kind, objects in found.items()
            for each in objects
            if each["metadata"]["name"].startswith("toque")
        }

    def gateways(self, *, is_ready: bool = True) -> list[dict[str, Any]]:
        """The Pods of gateways."""
        return [pod for pod in pods(self.place, is_ready=is_ready) if component(pod) == "gateway"]

    def replicas(self) -> list[dict[str, Any]]:
        """The Pods of replicas that are ready."""
        return [pod for pod in pods(self.place, is_ready=True) if component(pod) == "replica"]

    def ask(self) -> tuple[int, Mapping[str, str], bytes]:
        """Ask a gateway that is ready, any of them, as a Service would have it."""
        pod = choice(until(self.gateways, 60))
        head = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        return call(f"http://{pod['status']['podIP']}:8080", "POST", "/v1/chat/completions", request(), head)


def printed(*words: str) -> str:
    """Return what a command of toque's prints."""
    screen = Screen()
    assert screen.run(*words) == 0, screen.said
    return screen.shown


def deployed(place: Place, folder: Path) -> Deployed:
    """Prepare a namespace as the guide says: an API key, and the Secret."""
    (folder / "toque.toml").write_text('keys_file = "keys.json"\n')
    key = printed("key", "create", "me", "--config", str(folder / "toque.toml")).split()[-1]
    environment = {"KUBECONFIG": str(place.cluster.plane.admin_kubeconfig)}
    kubectl = Program(find("kubectl"), folder, ("--namespace", place.namespace), environment)
    token = "--from-literal=token=a-long-text-that-nobody-guesses"
    kubectl.run("create", "secret", "generic", "toque", token, f"--from-file={folder / 'keys.json'}")
    return Deployed(place, folder, key, kubectl)


def component(pod: dict[str, Any]) -> str:
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def _mark(found: dict[str, Any]) -> str:
    """Without what others write there: its status, and notes of controllers."""
    metadata = found["metadata"]
    return f"{metadata['uid']}/{metadata.get('generation', metadata['resourceVersion'])}"
