"""How a cluster is reached, and how it is told when none can be."""

from pathlib import Path

import pytest

from toque.kube.connection import open_client
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: here, user: me, namespace: models}}]
users: [{name: me, user: {token: canary}}]
"""


async def test_a_kubeconfig_names_server_user_and_namespace(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    async with open_client(KubernetesSpec(), {"KUBECONFIG": str(file)}) as client:
        assert client.namespace == "models"
    async with open_client(KubernetesSpec("other", str(file)), {}) as client:
        assert client.namespace == "other"


@pytest.mark.parametrize("text", ["", "contexts: {", KUBECONFIG.replace("user: me,", "")])
def test_what_is_no_kubeconfig_is_told_with_its_place_and_without_its_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ConfigError, match="No cluster can be reached") as told:
        open_client(KubernetesSpec(kubeconfig=str(file)), {})
    assert str(file) in told.value.message
    assert "canary" not in told.value.message


def test_a_pod_without_a_service_account_reaches_nothing() -> None:
    with pytest.raises(ConfigError, match="the service account of this Pod"):
        open_client(KubernetesSpec(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
