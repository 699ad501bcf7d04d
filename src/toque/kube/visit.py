"""One look at a cluster, before anything is made there.

Law: it reads, and nothing else.
"""

from collections.abc import Mapping

from lightkube.core.client import LabelSelector
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Pod

from toque.kube.connection import open_client
from toque.kube.trouble import TROUBLE, explain
from toque.kube.words import fleet_labels
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec


async def visit(spec: KubernetesSpec, environment: Mapping[str, str]) -> str:
    """Say where the cluster is and what a fleet has in it. Raises `ConfigError` when it cannot be reached or looked into."""
    async with open_client(spec, environment) as client:
        labels: LabelSelector = dict(fleet_labels(spec.fleet))
        try:
            deployments = [each async for each in client.list(Deployment, labels=labels)]
            pods = [each async for each in client.list(Pod, labels=labels)]
        except TROUBLE as error:
            raise ConfigError(
                f"Namespace {client.namespace} at {client.config.cluster.server}: {explain(error)}.",
                fix="docs/how-to/kubernetes.md lists the rights that toque needs there.",
            ) from error
        there = f"{len(deployments)} Deployments and {len(pods)} Pods of {spec.fleet} are there"
        return f"namespace {client.namespace} at {client.config.cluster.server}; {there}"
