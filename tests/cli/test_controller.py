"""What `toque controller` says before it begins: which settings it takes, and what it needs."""

from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "toque.toml"
    file.write_text("")
    return file


def test_a_package_that_is_not_installed_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, settings: Path
) -> None:
    monkeypatch.setattr("toque.cli.controller.find_spec", lambda name: None if name == "kopf" else name)
    assert screen.run("controller", "--config", str(settings)) == Exit.USAGE
    assert "needs the package kopf" in screen.said
    assert 'pip install "toque[kubernetes]"' in screen.said


def test_models_of_its_own_are_refused_with_the_way_out(screen: Screen, settings: Path) -> None:
    settings.write_text('[models.chat]\nagent = "fake"\n')
    assert screen.run("controller", "--config", str(settings)) == Exit.USAGE
    assert "A controller has no models of its own." in screen.said
    assert "ModelPool" in screen.said


def test_without_a_cluster_it_says_how_to_name_one(tmp_path: Path, screen: Screen, settings: Path) -> None:
    settings.write_text(f'admin_listen = "off"\n[kubernetes]\nkubeconfig = "{tmp_path}/none"\n')
    assert screen.run("controller", "--config", str(settings)) == Exit.USAGE
    assert "No cluster can be reached by" in screen.said
    assert "[kubernetes] kubeconfig" in screen.said
