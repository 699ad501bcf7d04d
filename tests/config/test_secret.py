"""Stories of secrets by reference."""

from pathlib import Path

import pytest

from toque.config.secret import read_secret
from toque.model.errors import ConfigError


def test_a_secret_comes_from_the_environment_or_a_file_and_never_prints(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-canary\n")
    for reference in ("env:KEY", f"file:{tmp_path}/key"):
        secret = read_secret(reference, {"KEY": "sk-canary"})
        assert secret.reveal() == "sk-canary"
        assert "canary" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(
    "reference", ["env:NONE", "file:/nonexistent/key", "sk-canary", "env:a b", "file:", "file:~nobody-here/key"]
)
def test_a_reference_to_nothing_is_told_with_the_fix(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_secret(reference, {})
    assert caught.value.fix
    assert "canary" not in caught.value.message


def test_an_unreadable_secret_is_told(tmp_path: Path) -> None:
    for unreadable in (str(tmp_path), "a\0b"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_secret(f"file:{unreadable}", {})
