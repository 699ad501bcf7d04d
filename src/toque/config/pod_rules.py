"""Contradictions in the settings of Pods: what no cluster would take.

Law: what depends on the cluster (whether an image or a class is there) is not judged here; its driver tells that.
"""

import re
from collections.abc import Callable, Iterator

from toque.config.contradiction import Contradiction
from toque.config.source import KeyPath
from toque.model.agent_spec import ModelSpec
from toque.model.placement import read_requirement, read_spread, read_toleration
from toque.model.pod_spec import NO_POD, PodSpec
from toque.model.service_spec import ServiceSpec

KUBERNETES = "kubernetes"
_UNITS = {"": 1.0, "m": 0.001} | {
    f"{prefix}{suffix}": float(base**power)
    for power, prefix in enumerate("kMGTP", 1)
    for suffix, base in (("", 1000), ("i", 1024))
}
_UNITS["Ki"] = _UNITS.pop("ki")
_QUANTITY = re.compile(rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_UNITS)})", re.ASCII)
_WEIGHTS = re.compile(r"image|scratch|claim:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
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
    yield from _quantities(model.pod, here)
    yield from _placement(model.pod, here)
    if not _WEIGHTS.fullmatch(model.pod.weights):
        yield Contradiction(
            (*here, "weights"),
            f"weights {model.pod.weights!r} is no place of a model's file.",
            'Write "image", "claim:NAME" or "scratch".',
        )


def _quantities(pod: PodSpec, here: KeyPath) -> Iterator[Contradiction]:
    for setting, amounts in (("requests", pod.requests), ("limits", pod.limits)):
        for resource, amount in amounts.items():
            if read_amount(amount) is None:
                yield Contradiction(
                    (*here, setting),
                    f"{setting} of {resource}: {amount!r} is no amount.",
                    'Write 2, "500m" or "4Gi".',
                )
                return
    for resource, asked in pod.requests.items():
        yield from _excess(resource, read_amount(asked), read_amount(pod.limits.get(resource)), here)


def _excess(resource: str, asked: float | None, limit: float | None, here: KeyPath) -> Iterator[Contradiction]:
    """What is asked for is never above its limit; of devices it is the limit."""
    if "/" in resource and asked != limit:
        yield Contradiction(
            (*here, "requests"),
            f"requests of {resource} are not its limits: a device is not shared.",
            f"Write {resource} under limits alone.",
        )
    elif asked is not None and limit is not None and asked > limit:
        yield Contradiction(
            (*here, "requests"), f"requests of {resource} are above its limits.", "Raise the one or lower the other."
        )


def read_amount(amount: object) -> float | None:
    """Read a quantity of Kubernetes; None for what is none."""
    found = None if isinstance(amount, bool) else _QUANTITY.fullmatch(str(amount))
    return float(found[1]) * _UNITS[found[2]] if found else None


def _placement(pod: PodSpec, here: KeyPath) -> Iterator[Contradiction]:
    label = 'Write "KEY=VALUE", "KEY in (A, B)", "!KEY" or "KEY>8".'
    texts: tuple[tuple[str, Callable[[str], object], str], ...] = (
        ("node_required", read_requirement, label),
        ("node_preferred", read_requirement, label),
        ("tolerations", read_toleration, 'Write "KEY=VALUE:NoSchedule", "KEY:NoExecute" or "KEY".'),
        ("spread", read_spread, 'Write "topology.kubernetes.io/zone" or "kubernetes.io/hostname=2:DoNotSchedule".'),
    )
    for setting, read, fix in texts:
        for text in getattr(pod, setting):
            try:
                read(text)
            except ValueError as error:
                yield Contradiction((*here, setting), f"{error}.", fix)
