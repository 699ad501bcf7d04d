"""What pools cost that nobody asks: processor time, memory and API calls of a toque whose replicas are Pods, by their number.

Law: the cluster is simulated (api.py, a process of its own) and the toque is real; what is told is of the toque alone, and at rest.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
START_S = 400.0
SETTLE_S = 2.0
"""After everything is ready: what follows a start is over."""
SETTINGS = """
admin_listen = "127.0.0.1:0"
{up}
[kubernetes]
kubeconfig = "{kubeconfig}"
namespace = "models"
"""
UP = 'listen = "127.0.0.1:0"\ndriver = "kubernetes"'
MODEL = """
[models.m{number:04d}]
agent = "fake"
pod = {{ image = "bench", port = {port} }}
replicas = {{ minimum_warm = {warm}, maximum = 100 }}
"""


@dataclass(frozen=True, slots=True)
class Estate:
    """So many pools, each with so many replicas that stay; `verb` is who keeps them: `up`, or `controller` with ModelPools."""

    verb: str
    pools: int
    warm: int

    @property
    def replicas(self) -> int:
        """All of them."""
        return self.pools * self.warm


ESTATES = (
    Estate("up", 10, 0),
    Estate("up", 1000, 0),
    Estate("up", 1000, 5),
    Estate("controller", 10, 0),
    Estate("controller", 200, 0),
    Estate("controller", 200, 25),
)
QUICK = (Estate("up", 10, 0), Estate("up", 100, 0), Estate("controller", 10, 0), Estate("controller", 10, 2))
LEASE = ("GET leases", "PUT leases", "POST leases")
"""Calls by which a controller goes on leading, pools or none."""


def rest(folder: Path, *, quick: bool) -> Sequence[Mapping[str, object]]:
    """One row an estate."""
    return [
        measured(estate, folder / f"{estate.verb}-{estate.pools}-{estate.warm}", 3.0 if quick else 6.0)
        for estate in (QUICK if quick else ESTATES)
    ]


def measured(estate: Estate, folder: Path, window_s: float) -> Mapping[str, object]:
    """Start everything, wait until it is at rest, and look for so long."""
    folder.mkdir(parents=True)
    with simulated(folder) as (kubeconfig, api_url, port):
        settings = folder / "toque.toml"
        settings.write_text(_settings(estate, kubeconfig, port))
        if estate.verb == "controller":
            _apply(api_url, estate, port)
        began = time.perf_counter()
        with toque(estate.verb, settings) as (pid, admin_url):
            _until(lambda: _shown(api_url) >= estate.replicas, START_S)
            start_s = time.perf_counter() - began
            started = (_counts(api_url), _cpu_s(pid))
            _settle(api_url, estate)
            before, cpu_s = _counts(api_url), _cpu_s(pid)
            Event().wait(window_s)
            after, at_rest_s = _counts(api_url), _cpu_s(pid) - cpu_s
            calls = {what: count - before.get(what, 0) for what, count in after.items()}
            leading = sum(calls.pop(what, 0) for what in LEASE)
            return {
                "verb": estate.verb,
                "pools": estate.pools,
                "replicas": estate.replicas,
                "start_s": round(start_s, 2),
                "start_calls": sum(started[0].values()),
                "start_cpu_s": round(started[1], 2),
                "rest_calls_per_min": round(sum(calls.values()) * 60 / window_s, 1),
                "lease_calls_per_min": round(leading * 60 / window_s, 1),
                "rest_cpu_percent": round(100 * at_rest_s / window_s, 2),
                "memory_mb": round(_memory_mb(pid), 1),
                "scrape_ms": round(1000 * _scrape_s(admin_url), 1),
            }


def _settings(estate: Estate, kubeconfig: Path, port: int) -> str:
    if estate.verb == "controller":
        return SETTINGS.format(kubeconfig=kubeconfig, up="")
    models = "".join(MODEL.format(number=number, port=port, warm=estate.warm) for number in range(estate.pools))
    return SETTINGS.format(kubeconfig=kubeconfig, up=UP) + models


def _apply(api_url: str, estate: Estate, port: int) -> None:
    """Make the ModelPools."""
    for number in range(estate.pools):
        replicas = {"minimumWarm": estate.warm, "maximum": 100, "target": 0}
        spec = {"agent": "fake", "pod": {"image": "bench", "port": port}, "replicas": replicas}
        body = {
            "apiVersion": "toque.dev/v1alpha1",
            "kind": "ModelPool",
            "metadata": {"name": f"m{number:04d}"},
            "spec": spec,
        }
        path = f"{api_url}/apis/toque.dev/v1alpha1/namespaces/models/modelpools"
        asked = Request(path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urlopen(asked, timeout=60):
            pass


def _settle(api_url: str, estate: Estate) -> None:
    """Wait until nothing more is written: a controller tells each pool's status in its turn."""
    written = -1
    while written != (written := sum(_counts(api_url).values()) if estate.verb == "up" else _written(api_url)):
        Event().wait(SETTLE_S)


def _written(api_url: str) -> int:
    return sum(count for what, count in _counts(api_url).items() if what not in LEASE)


@contextmanager
def simulated(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """Run the simulated API server; yield a kubeconfig, its URL and the port of all replicas. It is ended by its id."""
    kubeconfig, port = folder / "kubeconfig", _free_port()
    argv = (sys.executable, str(HERE / "api.py"), str(kubeconfig), str(port))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield kubeconfig, f"http://127.0.0.1:{int(process.stdout.readline())}", port
        finally:
            process.terminate()


@contextmanager
def toque(verb: str, settings: Path) -> Iterator[tuple[int, str]]:
    """Run a toque; yield its process id and where its admin listener is. It is killed by its id: nobody needs its farewells."""
    argv = (sys.executable, "-m", "toque", verb, "--json", "--config", str(settings))
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(settings.parent),
        "TOQUE_RECORDS_STATE_DIR": str(settings.parent),
    }
    told = settings.parent / "told"
    with told.open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log, env=environment) as process:
        try:
            _until(lambda: bool(_admin_url(told)), START_S)
            yield process.pid, _admin_url(told)
        finally:
            process.send_signal(signal.SIGKILL)


def _admin_url(told: Path) -> str:
    lines = told.read_text().splitlines()
    return next((str(json.loads(line)["admin_url"]) for line in lines if '"admin_url"' in line), "")


def _shown(api_url: str) -> int:
    """Replicas that are ready: each is shown to be so by one call, its last."""
    return _counts(api_url).get("PATCH pods/status", 0)


def _scrape_s(admin_url: str) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        _page(f"{admin_url}/metrics")
        took.append(time.perf_counter() - began)
    return min(took)


def _counts(api_url: str) -> Mapping[str, int]:
    counts: Mapping[str, int] = json.loads(_page(f"{api_url}/counts"))
    return counts


def _page(url: str) -> str:
    with urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _until(condition: Callable[[], bool], within_s: float) -> None:
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, f"not within {within_s} s"
        Event().wait(0.1)
