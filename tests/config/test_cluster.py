"""Several gateways in the settings: where the controllers are, and what must come with that."""

from pathlib import Path

import pytest

from toque.config.read import read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

GATEWAY = '[cluster]\ncontrollers = ["toque-controller:7070"]\ntoken = "env:TOQUE_TOKEN"\n'


def read(folder: Path, text: str) -> ServiceSpec:
    file = folder / "toque.toml"
    file.write_text(text)
    return read_config(file, {}, {})


def test_a_gateway_of_a_controller_has_no_models_of_its_own(tmp_path: Path) -> None:
    spec = read(tmp_path, GATEWAY)
    assert spec.cluster.controllers == ("toque-controller:7070",)
    assert spec.models == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('controllers = ["somewhere"]', "'somewhere' is no address of a controller."),
        ('listen = "here"', "'here' is no address of a controller."),
        ('token = "hunter2"', "a token itself does not belong in settings"),
        ('controllers = ["toque-controller:7070"]', "proves itself to its controller by a token"),
        ('name = "a b"', "'a b' is no name of a gateway."),
    ],
)
def test_what_cannot_hold_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, f"[cluster]\n{text}\n")
    assert complaint in told.value.message
    assert ":2:" in told.value.where
