"""The label on the Pod of the controller that leads.

Law: one call; what is no Pod of this cluster wears none.
"""

import lightkube
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from toque.kube.trouble import TROUBLE, is_gone
from toque.kube.words import LEADS_LABEL


async def pin(client: lightkube.AsyncClient, pod: str, *, is_leading: bool) -> None:
    """Put the label on a Pod (empty: there is none), or take it off. Raises one of `TROUBLE`."""
    if not pod:
        return
    labels = {LEADS_LABEL: "true" if is_leading else None}
    try:
        await client.patch(Pod, pod, {"metadata": {"labels": labels}}, patch_type=PatchType.MERGE)
    except TROUBLE as error:
        if not is_gone(error):
            raise
