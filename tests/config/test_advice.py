"""Where the decision is told: what cannot hold in `[advice]` is said with the line to write instead."""

from pathlib import Path

import pytest

from toque.config.read import read_config
from toque.model.advice_spec import AdviceSpec
from toque.model.errors import ConfigError

_MODEL = '[models.chat]\nagent = "fake"\n'
_FILES = 'certificate = "tls.crt"\ncertificate_key = "tls.key"\n'


def _read(folder: Path, text: str) -> AdviceSpec:
    file = folder / "toque.toml"
    file.write_text(f"[advice]\n{text}\n{_MODEL}")
    return read_config(file, {}, {}).advice


def test_files_count_from_the_settings_file(tmp_path: Path) -> None:
    text = f'metrics_api = "0.0.0.0:8443"\n{_FILES}client_ca = "/etc/front-proxy/ca.crt"\n'
    advice = _read(tmp_path, text)
    assert (advice.certificate, advice.client_ca) == (str(tmp_path / "tls.crt"), "/etc/front-proxy/ca.crt")
    assert advice.client_names == ("front-proxy-client",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('keda = "here"', "advice.keda 'here' is no address."),
        (
            f'metrics_api = "0.0.0.0:8443"\n{_FILES}',
            "advice.client_ca is missing: the Kubernetes API server asks over TLS.",
        ),
        ('keda = "0.0.0.0:7071"\ncertificate = "tls.crt"', "advice.certificate_key is missing."),
        ('metrics_api = "0.0.0.0:1"\nkeda = "0.0.0.0:1"', "advice.keda is the same as advice.metrics_api."),
    ],
)
def test_what_cannot_hold_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        _read(tmp_path, text)
    assert complaint in told.value.message
