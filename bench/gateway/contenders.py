"""The gateways that are compared, each as its own documentation sets it up for one core."""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import install
from cases import KEY, MODEL
from contender import Contender, Direct, free_port
from mocked import PORTS

_TOQUE = """\
listen = "127.0.0.1:{port}"
admin_listen = "off"
driver = "mocked:MockedDriver"

[records]
state_dir = "{folder}"
access_log = "{folder}/access.log"

[limits]
connections_max = 12000
idle_upstream_connections_max = {slots}

[models.{model}]
agent = "fake"
slots = {slots}
replicas = {{ minimum_warm = {replicas}, maximum = {replicas} }}

[keys.bench]
sha256 = "{digest}"
models = ["{model}"]
"""

_NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  client_body_buffer_size 128k;
  keepalive_requests 1000000000;
  upstream mock {{ {servers} keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      tcp_nodelay on;
    }}
  }}
}}
"""

_LITELLM = """\
model_list:
{models}
general_settings:
  master_key: {key}
litellm_settings:
  num_retries: 0
  telemetry: false
"""


class Toque(Contender):
    """Everything on: a key, validation, queue, routing over eight replicas, journal ring, metrics, access lines."""

    name = "toque"
    recovery_s = 1.5
    slots = 256
    """Of each replica."""

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """`toque up` from this checkout."""
        text = _TOQUE.format(
            port=self.port,
            folder=folder,
            model=MODEL,
            replicas=len(mock_ports),
            slots=self.slots,
            digest=hashlib.sha256(KEY.encode()).hexdigest(),
        )
        path = folder / "toque.toml"
        path.write_text(text)
        return [sys.executable, "-m", "toque", "up", "--json", "--config", str(path)]

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """Where the driver is found, and its ports; the package is that of the benchmark itself (`./dev compiled python ...`)."""
        here = Path(__file__).parent
        package = os.environ.get("PYTHONPATH") or str(here.parents[1] / "src")
        return {"PYTHONPATH": f"{here}:{package}", PORTS: " ".join(map(str, mock_ports))}


class Nginx(Contender):
    """A reverse proxy that looks at nothing: the practical limit."""

    name = "nginx"

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """One process, upstream connections kept, no buffering, no access log."""
        servers = " ".join(f"server 127.0.0.1:{port};" for port in mock_ports)
        path = folder / "nginx.conf"
        path.write_text(_NGINX.format(folder=folder, port=self.port, servers=servers))
        return [str(install.nginx()), "-p", str(folder), "-c", str(path)]


class _Router(Contender):
    """The two Rust routers take the same flags; the limits of both are opened so that nothing is refused."""

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """Power of two choices over all ports."""
        urls = [f"http://127.0.0.1:{port}" for port in mock_ports]
        return [
            *(str(install.python_package(self.name, self.name)), *self.subcommand()),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--policy", "power_of_two", "--log-level", "error", "--max-concurrent-requests", "4096"),
            *("--prometheus-port", str(free_port())),
            *("--worker-urls", *urls),
        ]

    def subcommand(self) -> Sequence[str]:
        """What comes before the flags."""
        return ()

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """One core, one thread, as nginx has it."""
        return {"TOKIO_WORKER_THREADS": "1"}


class VllmRouter(_Router):
    """vLLM's router, in Rust."""

    name = "vllm-router"


class SglangRouter(_Router):
    """SGLang's router, in Rust."""

    name = "sglang-router"

    def subcommand(self) -> Sequence[str]:
        """Its command has several parts."""
        return ("launch",)


class LiteLlm(Contender):
    """The LiteLLM proxy, in Python."""

    name = "litellm"
    patience = 4
    connections_max = 32

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """One process, a master key, a list of deployments of one model."""
        models = "\n".join(
            f"  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
            f"      api_base: http://127.0.0.1:{port}/v1\n      api_key: none"
            for port in mock_ports
        )
        path = folder / "litellm.yaml"
        path.write_text(_LITELLM.format(models=models, key=KEY))
        binary = install.python_package("litellm[proxy]", self.name)
        return [str(binary), "--config", str(path), "--host", "127.0.0.1", "--port", str(self.port)]

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """Nothing is fetched from outside."""
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}


PEERS: Mapping[str, Callable[[], Contender]] = {kind.name: kind for kind in (Nginx, VllmRouter, SglangRouter, LiteLlm)}
ALWAYS: Sequence[Callable[[], Contender]] = (Toque, Direct)
