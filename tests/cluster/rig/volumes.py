"""What a container on a virtual machine sees at other paths: Secrets, ConfigMaps, tokens of its account, folders of its own.

Law: only root can show a process other paths, so nobody else's containers have volumes. A scratch at /tmp is none: it would hide
what tests keep there; TMPDIR is the Pod's own.
"""

import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.cluster.rig.api import Object, RefusedError, path_of
from tests.cluster.rig.link import UNREACHABLE, Link
from tests.cluster.rig.names import HOSTS, Names

SCRATCH = "/tmp"
MADE: list[Path] = []
"""Folders that had to be made on this machine to be mounted on; see `forget_mount_points`."""


def forget_mount_points() -> None:
    """Remove the folders that were made to be mounted on; nobody may use them any more."""
    while MADE:
        with suppress(OSError):
            MADE.pop().rmdir()


class Volumes:
    """Of one Pod, kept in its folder."""

    def __init__(self, pod: Object, link: Link, folder: Path, names: Names) -> None:
        self._pod = pod
        self._names = names
        self._link = link
        self._folder = folder / "volumes"
        self._specs: dict[str, Object] = {each["name"]: each for each in pod["spec"].get("volumes", [])}

    async def mounts(self, container: Object) -> Mapping[str, Path]:
        """Return which folder a container sees at which path. Raises `LookupError` where what is in it is missing."""
        if os.geteuid() != 0:
            return {}
        found: dict[str, Path] = {}
        for mount in container.get("volumeMounts", []):
            path = str(mount["mountPath"])
            if path != SCRATCH:
                source = await self._filled(self._specs[mount["name"]]) / mount.get("subPath", "")
                _make_room(Path(path), is_folder=source.is_dir())
                found[path] = source
        if found or self._names.has_any(self._namespace):
            found[str(HOSTS)] = self._names.file(self._namespace)
        return found

    async def kept(self, source: Object) -> Mapping[str, str]:
        """Return what is in a Secret or ConfigMap that is referred to. Raises `LookupError`."""
        named: Object = source.get("secretRef") or source.get("configMapRef") or {}
        kind = "secrets" if "secretRef" in source else "configmaps"
        return {key: data.decode() for key, data in (await self._data(kind, named["name"])).items()}

    async def _filled(self, spec: Object) -> Path:
        folder = self._folder / str(spec["name"])
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in (await self._files(spec)).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    async def _files(self, spec: Object) -> Mapping[str, bytes]:
        """Return the files of a volume: 1. of a Secret; 2. of a ConfigMap; 3. of several sources; 4. none yet."""
        if "secret" in spec:  # 1
            named = spec["secret"]
            return _chosen(await self._data("secrets", named.get("secretName") or named["name"]), named)
        if "configMap" in spec:  # 2
            return _chosen(await self._data("configmaps", spec["configMap"]["name"]), spec["configMap"])
        if "projected" in spec:  # 3
            parts = [await self._files(part) for part in spec["projected"]["sources"]]
            return {name: data for part in parts for name, data in part.items()}
        if "serviceAccountToken" in spec:
            return {spec["serviceAccountToken"]["path"]: await self._token()}
        return {}  # 4

    async def _data(self, kind: str, name: str) -> Mapping[str, bytes]:
        try:
            found = await self._link.call("GET", path_of(kind, self._namespace, name))
        except (RefusedError, *UNREACHABLE) as error:
            raise LookupError(f'{kind.removesuffix("s")} "{name}" not found') from error
        data: Mapping[str, str] = found.get("data") or {}
        return {key: base64.b64decode(text) if kind == "secrets" else text.encode() for key, text in data.items()}

    async def _token(self) -> bytes:
        account = self._pod["spec"].get("serviceAccountName", "default")
        path = path_of("serviceaccounts", self._namespace, account, "token")
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str((await self._link.call("POST", path, asked))["status"]["token"]).encode()

    @property
    def _namespace(self) -> str:
        return str(self._pod["metadata"]["namespace"])


def _chosen(data: Mapping[str, bytes], spec: Object) -> Mapping[str, bytes]:
    if "items" not in spec:
        return data
    return {item["path"]: data[item["key"]] for item in spec["items"]}


def _make_room(path: Path, *, is_folder: bool) -> None:
    """Have something at a path that can be mounted on."""
    missing = [place for place in (path if is_folder else path.parent, *path.parents) if not place.exists()]
    for place in reversed(dict.fromkeys(missing)):
        place.mkdir()
        MADE.append(place)
    if not is_folder and not path.exists():
        path.touch()
