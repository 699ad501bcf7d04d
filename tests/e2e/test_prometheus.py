"""A real Prometheus scrapes the address that needs no key, and finds who wants how many, and who is busy."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.service import serving, until

pytestmark = pytest.mark.slow

PROMETHEUS = shutil.which("prometheus")
SETTINGS = """
metrics_listen = "127.0.0.1:{port}"
[models.chat]
agent = "fake"
slots = 2
options = {{ tokens = 40, token_gap_s = 0.05 }}
replicas = {{ minimum_warm = 1, maximum = 3, target = 2 }}
"""
SCRAPES = """
global: {{ scrape_interval: 200ms }}
scrape_configs:
  - job_name: toque
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[str]:
    """Yield where it answers; it is ended by its id."""
    if PROMETHEUS is None:
        pytest.skip("no prometheus here: apt-get install prometheus")
    address = f"127.0.0.1:{_free_port()}"
    (folder / "prometheus.yml").write_text(SCRAPES.format(port=scraped))
    flags = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series")
    with subprocess.Popen(
        (PROMETHEUS, *flags, f"--web.listen-address={address}", "--log.level=error"), cwd=folder
    ) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def asked(url: str, query: str) -> list[tuple[dict[str, str], float]]:
    """What a query finds: labels and value of each series; nothing while it has not begun to listen."""
    try:
        with urlopen(f"{url}/api/v1/query?query={quote(query)}", timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return [(series["metric"], float(series["value"][1])) for series in found]


def value(url: str, query: str) -> float | None:
    """The one value that a query finds, if there is one."""
    found = asked(url, query)
    return found[0][1] if len(found) == 1 else None


def test_a_real_prometheus_sees_scaling_and_load_and_takes_every_line_of_the_page(tmp_path: Path) -> None:
    port = _free_port()
    with serving(tmp_path, SETTINGS.format(port=port)) as service, prometheus(tmp_path, port) as url:
        until(lambda: value(url, 'up{job="toque"}') == 1)
        until(lambda: value(url, 'toque_replicas{model="chat",state="ready"}') == 2)
        assert value(url, 'toque_target_replicas{model="chat"}') == 2
        streams = [service.stream() for _ in range(3)]
        until(lambda: value(url, 'vllm:num_requests_running{model_name="chat"}') == 3)
        assert value(url, 'vllm:kv_cache_usage_perc{model_name="chat"}') == 0.75
        until(lambda: value(url, 'max_over_time(toque_slots_busy_ratio{model="chat"}[1m])') == 0.75)
        for stream in streams:
            assert list(stream.events())[-1] == "[DONE]"
            stream.close()
        until(lambda: value(url, 'sum(toque_requests_total{model="chat",outcome="ok"})') == 3)
