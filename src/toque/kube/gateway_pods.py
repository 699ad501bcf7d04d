"""The census of a cluster: gateways are Pods, and one whose Pod is gone or has ended is dead.

Law: silence is no proof, and neither is an API server that does not answer. Who was never seen as a Pod is not judged by Pods.
"""

from collections.abc import Iterable, Mapping

from lightkube.core.client import LabelSelector
from lightkube.resources.core_v1 import Pod

from toque.kube.connection import Client
from toque.kube.trouble import TROUBLE
from toque.kube.watch import CHUNK, name_of
from toque.kube.words import gateway_labels

ENDED = {"Succeeded", "Failed"}


class PodCensus:
    """Of one fleet in its namespace."""

    def __init__(self, client: Client, fleet: str) -> None:
        self._client = client
        self._labels: LabelSelector = dict(gateway_labels(fleet))
        self._guests: frozenset[str] = frozenset()
        self._known: set[str] = set()
        """Gateways that were seen as Pods."""
        self._asked: set[str] = set()
        """Those that were looked for; who was not found then is no Pod."""

    async def expected(self) -> Mapping[str, str]:
        """Return the gateways whose Pods are there. Raises one of `TROUBLE`: who does not know may not lend."""
        return dict.fromkeys(await self._living(), "")

    async def dead(self, silent: Mapping[str, str]) -> Iterable[str]:
        """Look for the Pods of those; each newcomer is looked for once, while it is heard of."""
        if not silent and self._guests <= self._asked:
            return []
        try:
            living = await self._living()
        except TROUBLE:
            return []
        self._asked |= self._guests
        return [name for name in silent if name in self._known and name not in living]

    def note(self, guests: Mapping[str, str]) -> None:
        """Know who may hold slots from now on."""
        self._guests = frozenset(guests)

    async def _living(self) -> set[str]:
        pods = [pod async for pod in self._client.list(Pod, labels=self._labels, chunk_size=CHUNK)]
        living = {name_of(pod) for pod in pods if not _is_nobody(pod)}
        self._known |= living
        return living


def _is_nobody(pod: Pod) -> bool:
    """Whether nothing can run in a Pod: 1. it has ended; 2. no machine was found for it, so nothing ever did."""
    if pod.status is not None and pod.status.phase in ENDED:  # 1
        return True
    return pod.spec is not None and pod.spec.nodeName is None  # 2
