"""What a predecessor left of other versions: Pods that serve on until new ones are ready in their place.

Law: an order takes a Pod of its own version first; one of another version is taken only for what was there when we first looked.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from lightkube.resources.apps_v1 import Deployment

from toque.kube.manifests import Version
from toque.kube.words import object_name


class Inheritance:
    """`is_spare` says whether of a version, by its mark, a Pod is there that nobody has or waits for."""

    def __init__(self, is_spare: Callable[[str], bool]) -> None:
        self._is_spare = is_spare
        self._marks: dict[str, set[str]] = {}
        """By pool; those that were renewed already have none."""

    def leave(self, pool: str, mark: str) -> None:
        """A Pod of this version was there when we first looked."""
        self._marks.setdefault(pool, set()).add(mark)

    def spent(self, pool: str) -> None:
        """From now on every order of a pool is for its own version."""
        self._marks.pop(pool, None)

    def former(self, version: Version, deployments: Mapping[str, Deployment]) -> Version | None:
        """Return the version that the next order of a model shall take a Pod of; None: its own."""
        marks = self._marks.get(version.model.pool.name)
        if not marks or self._is_spare(version.mark):
            return None
        for mark in sorted(marks - {version.mark}):
            if self._is_spare(mark):
                return _as_left(version, mark, deployments)
        return None


def _as_left(version: Version, mark: str, deployments: Mapping[str, Deployment]) -> Version:
    """Name a version by what is left of it: nothing but its mark and the port of its Pods is asked of it."""
    pool = version.model.pool.name
    deployment = deployments.get(f"{object_name(pool)}-{mark}")
    template = deployment.spec.template.spec if deployment is not None and deployment.spec is not None else None
    ports = (template.containers[0].ports or []) if template is not None else []
    pod = replace(version.model.pod, port=ports[0].containerPort) if ports else version.model.pod
    return replace(version, mark=mark, model=replace(version.model, pod=pod))
