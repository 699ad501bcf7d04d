"""The end of a fleet, in order: its ModelPools first, while a controller is there to drain their replicas.

Law: it deletes ModelPools of one namespace and nothing else, and returns when they are gone or its time is over.
"""

import asyncio
from collections.abc import Mapping

from toque.kube.connection import open_client
from toque.kube.model_pools import ModelPools
from toque.kube.trouble import TROUBLE, explain, is_gone
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec

LOOK_S = 1.0


async def remove_pools(spec: KubernetesSpec, environment: Mapping[str, str], within_s: float) -> list[str]:
    """Delete all ModelPools and return the names of those that are not gone in time. Raises `ConfigError` where it may not."""
    async with open_client(spec, environment) as client:
        pools = ModelPools(client, spec.fleet)
        left: list[str] = []
        try:
            async with asyncio.timeout(within_s):
                while left := await _ask(pools, left):
                    await _pause()
        except TimeoutError:
            return left
        return []


async def _ask(pools: ModelPools, known: list[str]) -> list[str]:
    """Delete what is there and return its names."""
    try:
        names = [_name(pool) for pool in await pools.list()]
        for name in names:
            if name not in known:
                await pools.remove(name)
    except TROUBLE as error:
        if is_gone(error):  # the cluster does not even know what a ModelPool is
            return []
        raise ConfigError(f"ModelPools cannot be deleted: {explain(error)}") from error
    return names


def _name(pool: Mapping[str, object]) -> str:
    metadata = pool["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


async def _pause() -> None:
    never = asyncio.Event()
    try:
        async with asyncio.timeout(LOOK_S):
            await never.wait()
    except TimeoutError:
        return
