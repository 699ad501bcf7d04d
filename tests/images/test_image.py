"""A model's image is the same from the same inputs, holds what it says and no more, and can be pushed to any registry."""

import json
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.images.building import LIMITS, TOOLS, Image, build, need, place, podman, registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def config_of(layout: Path) -> dict[str, dict[str, object]]:
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]))
    return json.loads(blob(layout, manifest["config"]["digest"]))


def names_in(layout: Path) -> set[str]:
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]))
    listed = (
        subprocess.run(["tar", "-tz"], input=blob(layout, layer["digest"]), capture_output=True, check=True).stdout
        for layer in manifest["layers"]
    )
    return {name.removeprefix("./") for text in listed for name in text.decode().splitlines()}


def test_two_builds_in_two_clean_places_have_one_digest(image: Image) -> None:
    with place() as folder:
        assert build(folder) == image.digest
    assert image.digest.startswith("sha256:")


def test_an_image_has_weights_and_no_shell_and_runs_as_nobody(image: Image, embedded_model: Path) -> None:
    config = config_of(image.layout)
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["python3.11", "-P", "-m", "toque"]
    assert config["config"]["Labels"]["dev.toque.model"] == "chat"  # type: ignore[index]
    assert config["created"] == "1980-01-01T00:00:00Z"

    names = names_in(image.layout)
    assert f"models/{embedded_model.name}" in names
    assert "usr/lib/toque/contents/contents.spdx.json" in names
    assert not names & {"bin/sh", "bin/bash", "bin/dash", "usr/bin/sh", "usr/bin/perl", "usr/bin/apt"}


def test_toque_itself_is_an_image_too_and_any_registry_takes_it() -> None:
    need("docker-registry", *TOOLS)
    with place() as folder, registry(folder / "registry") as host:
        digest = build(folder, "--push", f"{host}/toque:1", "--insecure", model="")
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        with urlopen(Request(f"http://{host}/v2/toque/manifests/1", headers=accept), timeout=5) as answer:
            assert answer.headers["Docker-Content-Digest"] == digest
            manifest = json.loads(answer.read())
        with urlopen(f"http://{host}/v2/toque/blobs/{manifest['config']['digest']}", timeout=5) as answer:
            assert json.loads(answer.read())["config"]["Cmd"] == ["up"]
        alone = ("--rm", "--network", "none", *LIMITS, "--entrypoint", "python3.11", "localhost/toque")
        look = "import grpc, kopf, lightkube, psycopg, toque; print('all of it')"
        told = subprocess.run(
            [*podman(folder), "run", *alone, "-P", "-c", look],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.stdout == "all of it\n", told.stderr
