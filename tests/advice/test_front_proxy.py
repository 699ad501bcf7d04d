"""Who may ask the aggregated API: the API server by its certificate, over real TLS, and nobody else whatever they say of themselves."""

import asyncio
import http.client
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.advice.fleet import Kitchen, wants
from toque.advice.external_metrics import external_metrics_app
from toque.advice.front_proxy import STRANGER, FrontProxyOnly, front_proxy_tls
from toque.model.advice_spec import AdviceSpec
from toque.model.errors import ConfigError
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

METRICS = "/apis/external.metrics.k8s.io/v1beta1"
Ask = Callable[..., Awaitable[tuple[int, Any]]]
CURVE = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def _openssl(folder: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: ours, the front proxy's authority with two callers, and an authority that nobody knows with one."""
    folder = tmp_path_factory.mktemp("papers")
    subject = "-addext subjectAltName=DNS:localhost"
    _openssl(folder, f"req -x509 {CURVE} -days 2 -keyout our.key -out our.crt -subj /CN=localhost {subject}")
    for authority, callers in (("proxy", ("front-proxy-client", "somebody")), ("other", ("impostor",))):
        _openssl(
            folder, f"req -x509 {CURVE} -days 2 -keyout {authority}.key -out {authority}.crt -subj /CN={authority}"
        )
        for caller in callers:
            name = "front-proxy-client" if caller == "impostor" else caller
            _openssl(folder, f"req {CURVE} -keyout {caller}.key -out {caller}.csr -subj /CN={name}")
            signed = f"-CA {authority}.crt -CAkey {authority}.key -CAcreateserial"
            _openssl(folder, f"x509 -req -in {caller}.csr {signed} -out {caller}.crt -days 2")
    return folder


def _spec(papers: Path, **more: Any) -> AdviceSpec:
    files = {"certificate": "our.crt", "certificate_key": "our.key", "client_ca": "proxy.crt"}
    return AdviceSpec(**{name: str(papers / file) for name, file in files.items()}, **more)


@pytest.fixture(params=[("front-proxy-client",), ()])
async def ask(papers: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ask]:
    spec = _spec(papers, client_names=request.param)
    app = external_metrics_app(Kitchen(wants("chat", 3)).view, lambda: 1_800_000_000.0)
    handler = FrontProxyOnly(AsgiHandler(app), AsgiHandler(STRANGER), spec.client_names)
    server = await serve(("127.0.0.1", 0), handler, LimitSpec(), tls=front_proxy_tls(spec))

    def asked(caller: str) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(papers / "our.crt"))
        if caller:
            context.load_cert_chain(papers / f"{caller}.crt", papers / f"{caller}.key")
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=5, context=context)
        try:
            connection.request(
                "GET", METRICS, headers={"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"}
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    yield lambda caller: asyncio.to_thread(asked, caller)
    await server.close()
    await handler.close()


async def test_the_front_proxy_may_ask_and_another_of_its_authority_only_where_no_name_is_set(
    ask: Ask, request: pytest.FixtureRequest
) -> None:
    assert (await ask("front-proxy-client"))[0] == 200
    has_names = bool(request.node.callspec.params["ask"])
    status, told = await ask("somebody")
    assert status == (403 if has_names else 200)
    assert not has_names or "Only the API server's front proxy may ask here" in told["message"]


@pytest.mark.parametrize("caller", ["", "impostor"])
async def test_whoever_has_no_certificate_of_that_authority_is_not_even_heard(ask: Ask, caller: str) -> None:
    with pytest.raises(OSError, match=r"(?i)certificate required|unknown ca|handshake|closed|reset|EOF"):
        await ask(caller)


@pytest.mark.parametrize("setting", ["certificate", "client_ca"])
def test_a_file_that_cannot_be_used_is_told_by_its_setting(papers: Path, setting: str) -> None:
    (papers / "broken.pem").write_text("no certificate")
    spec = replace(_spec(papers), **{setting: str(papers / "broken.pem")})
    with pytest.raises(ConfigError) as told:
        front_proxy_tls(spec)
    assert f"advice.{setting}" in told.value.fix
