"""A real `toque up` whose replicas are Pods of a real control plane, and clients that ask it all the time."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.place import TOQUE, Place
from tests.service import Service, call, serving, until

SETTINGS = """
driver = "kubernetes"
[kubernetes]
kubeconfig = "{kubeconfig}"
keep = {keep}
[models.chat]
agent = "fake"
slots = {slots}
options = {{ {options} }}
replicas = {{ {replicas} }}
restart = {{ backoff_s_min = 0.2, backoff_s_max = 2.0 }}
scaling = {{ interval_s = 1.0, stable_window_s = 2.0, burst_window_s = 1.0 }}
[models.chat.pod]
image = "{image}"
requests = {{ {requests} }}
limits = {{ {limits} }}
termination_grace_s = 5
"""
WARM = "minimum_warm = 1, maximum = 1"
QUICK = "ttft_s = 0.05, tokens = 5"


def settings(
    place: Place,
    replicas: str = WARM,
    *,
    slots: int = 4,
    options: str = QUICK,
    image: str = TOQUE,
    requests: str = 'cpu = 0.1, memory = "64Mi"',
    limits: str = "",
    keep: bool = False,
) -> str:
    """Settings of one model, `chat`, as Pods of a place."""
    return SETTINGS.format(
        kubeconfig=place.kubeconfig,
        replicas=replicas,
        slots=slots,
        options=options,
        image=image,
        requests=requests,
        limits=limits,
        keep=str(keep).lower(),
    )


def change(folder: Path, service: Service, text: str) -> None:
    """Give a running service other settings."""
    path = folder / "toque.toml"
    head = path.read_text().partition("driver =")[0]
    path.write_text(head + text)
    status, _, body = call(service.admin_url, "POST", "/admin/v1/reload", b"")
    assert status == 200, body


def pods(place: Place, *, is_ready: bool = False) -> list[dict[str, Any]]:
    """The Pods of a place that are not told to end, all of them or those that are ready."""
    found = [pod for pod in place.api.list("pods") if "deletionTimestamp" not in pod["metadata"]]
    return [pod for pod in found if not is_ready or condition(pod, "Ready")]


def names(found: list[dict[str, Any]]) -> set[str]:
    """Their names."""
    return {pod["metadata"]["name"] for pod in found}


def condition(pod: dict[str, Any], name: str) -> bool:
    """Whether a condition of a Pod is true."""
    return any(each["type"] == name and each["status"] == "True" for each in pod["status"].get("conditions", []))


def running(service: Service) -> list[dict[str, Any]]:
    """The replicas of `chat` that are ready, as `toque ps` sees them."""
    return [row for row in service.replicas() if row["replica"]["state"] == "ready"]


def told(service: Service, words: str, within_s: float = 30.0) -> str:
    """Wait until `toque why chat` says these words of a replica, and return the whole sentence."""

    def found() -> str:
        rows = [str(row["what"]) for row in service.why("chat")["replicas"]]
        return next((row for row in rows if words in row), "")

    return str(until(found, within_s))


class Asked(Protocol):
    """What answers questions: a service, or whoever knows one."""

    def ask(self) -> tuple[int, Any, Any]:
        """Return status, headers and body of an answer."""
        ...


class Load:
    """Clients, each of which asks again as soon as it was answered. `outcomes` counts statuses, and errors by their name."""

    def __init__(self, service: Asked, clients: int) -> None:
        self._service = service
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self.outcomes: Counter[int | str] = Counter()
        self.bodies: list[str] = []
        """Of answers that were no answers."""

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every request that is under way come to its end."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def served(self, more: int = 50) -> None:
        """Wait until so many more were answered."""
        goal = self.outcomes[200] + more
        until(lambda: self.outcomes[200] >= goal)

    @property
    def is_flawless(self) -> bool:
        """Whether everything that was asked was answered."""
        return set(self.outcomes) == {200}

    def _ask(self) -> None:
        while not self._is_over.is_set():
            try:
                status, _, body = self._service.ask()
            except Exception as error:
                self.outcomes[type(error).__name__] += 1
                self.bodies.append(repr(error))
            else:
                self.outcomes[status] += 1
                if status != 200:
                    self.bodies.append(str(body))


@contextmanager
def asked_by(service: Asked, clients: int) -> Iterator[Load]:
    """Have so many clients ask while something happens."""
    load = Load(service, clients)
    load.start()
    try:
        yield load
    finally:
        load.stop()


@contextmanager
def served(folder: Path, text: str, *, is_ready: bool = True) -> Iterator[Service]:
    """Run `toque up` with these settings."""
    with serving(folder, text, is_ready=is_ready) as service:
        yield service
