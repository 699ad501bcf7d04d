"""What goes into an image, and what must not: read off its recipe, its settings and its list of parts."""

import hashlib
import json
from pathlib import Path

import pytest

from toque.images.containerfile import containerfile
from toque.images.order import DEBIAN, Base, ImageOrder, Weights
from toque.images.sbom import Part, document, file_part, python_parts
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.spec import PoolSpec

CHAT = ModelSpec(PoolSpec("chat"), AgentSpec(source="/somewhere/model.gguf"))


def recipe(**order: object) -> list[str]:
    return containerfile(ImageOrder(**{"base": DEBIAN["bookworm"], "settings": "", **order}), "0" * 64).splitlines()  # type: ignore[arg-type]


def test_a_recipe_runs_nothing_and_ends_as_nobody() -> None:
    lines = recipe(model=CHAT)
    assert not [line for line in lines if line.startswith("RUN")]
    assert "USER 65532:65532" in lines
    assert lines[-2:] == [
        'ENTRYPOINT ["python3.11", "-P", "-m", "toque"]',
        'CMD ["replica", "chat", "--listen", "0.0.0.0:8080"]',
    ]


def test_weights_are_a_layer_of_their_own_or_none() -> None:
    assert "COPY models /models" in recipe(model=CHAT)
    assert "COPY models /models" not in recipe(model=CHAT, weights=Weights.VOLUME)
    fetched = recipe(model=CHAT, weights=Weights.FETCHED, weights_url="https://a.example/m.gguf", weights_sha256="ab")
    assert "COPY models /models" not in fetched
    assert json.loads(fetched[-1].removeprefix("CMD "))[-4:] == [
        "--weights-url",
        "https://a.example/m.gguf",
        "--weights-sha256",
        "ab",
    ]


def test_the_base_is_a_debian_root_or_any_image() -> None:
    assert recipe()[:2] == ["FROM scratch", "ADD base.tar /"]
    assert recipe(base=Base("3.12", 28, reference="python:3.12-slim"))[0] == "FROM python:3.12-slim"


def test_without_a_model_it_is_toque_itself() -> None:
    assert recipe()[-1] == 'CMD ["up"]'


def test_the_list_of_parts_names_itself_by_what_it_lists() -> None:
    one, other = Part("a", "1", "pkg:pypi/a@1"), Part("a", "2", "pkg:pypi/a@2")
    first, again, second = (json.loads(document("x", [part], 0)) for part in (one, one, other))
    assert first == again
    assert first["documentNamespace"] != second["documentNamespace"]
    assert first["creationInfo"]["created"] == "1970-01-01T00:00:00Z"


def test_packages_and_weights_say_what_they_are(tmp_path: Path) -> None:
    metadata = tmp_path / "rich-15.0.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.4\nName: rich\nVersion: 15.0.0\nLicense-Expression: MIT\n\nText.\n")
    assert list(python_parts(tmp_path)) == [Part("rich", "15.0.0", "pkg:pypi/rich@15.0.0", "MIT")]
    weights = tmp_path / "m.gguf"
    weights.write_bytes(b"GGUF")
    digest = hashlib.sha256(b"GGUF").hexdigest()
    assert file_part(weights).sha256 == digest
    assert file_part(weights).locator == f"pkg:generic/m.gguf?checksum=sha256:{digest}"


@pytest.mark.parametrize("suite", DEBIAN)
def test_every_debian_root_names_its_python(suite: str) -> None:
    assert DEBIAN[suite].suite == suite
    assert recipe(base=DEBIAN[suite])[-2].startswith(f'ENTRYPOINT ["python{DEBIAN[suite].python}"')
