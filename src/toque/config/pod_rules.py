"""Contradictions in the settings of Pods: what no cluster would take.

Law: what depends on the cluster (whether an image or a class is there) is not judged here; its driver tells that.
"""

import re
from collections.abc import Iterator

from toque.config.contradiction import Contradiction
from toque.model.agent_spec import ModelSpec
from toque.model.pod_spec import NO_POD, read_toleration
from toque.model.service_spec import ServiceSpec

KUBERNETES = "kubernetes"
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)


def pod_contradictions(model: ModelSpec, spec: ServiceSpec) -> Iterator[Contradiction]:
    """Yield what is wrong with the Pods of one model."""
    here = ("models", model.pool.name, "pod")
    if model.pod != NO_POD and not model.pool.elastic:
        yield Contradiction(
            here,
            "Replicas behind a url are not ours to run as Pods.",
            "Leave pod out; that service has Pods of its own.",
        )
    if spec.driver == KUBERNETES and model.pool.elastic and not model.pod.image:
        yield Contradiction(
            (*here, "image"),
            f"With the driver kubernetes, {'.'.join(here)} must name an image.",
            f"`toque image build {model.pool.name} --push REGISTRY/NAME` makes one; write its name and digest here.",
        )
    if model.pod.image and not _IMAGE.fullmatch(model.pod.image):
        yield Contradiction(
            (*here, "image"), f"image {model.pod.image!r} is no image's name.", 'Write "registry.example/chat:1".'
        )
    yield from _quantities(model, (*here,))
    for text in model.pod.tolerations:
        try:
            read_toleration(text)
        except ValueError as error:
            yield Contradiction(
                (*here, "tolerations"), f"{error}.", 'Write "KEY=VALUE:NoSchedule", "KEY:NoExecute" or "KEY".'
            )


def _quantities(model: ModelSpec, here: tuple[str, ...]) -> Iterator[Contradiction]:
    for setting, amounts in (("requests", model.pod.requests), ("limits", model.pod.limits)):
        for resource, amount in amounts.items():
            if isinstance(amount, bool) or not _QUANTITY.fullmatch(str(amount)):
                yield Contradiction(
                    (*here, setting),
                    f"{setting} of {resource}: {amount!r} is no amount.",
                    'Write 2, "500m" or "4Gi".',
                )
