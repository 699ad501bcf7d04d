"""The Helm chart gives the objects that `toque deploy render` prints, and refuses what it does not know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import CHART, Program, find, values_file
from tests.deploy.releases import IMAGE, RELEASES, by_name, check, read, release, rendered
from toque.config.crd import modelpool_crd
from toque.deploy.chart import chart, values_schema
from toque.deploy.values import default_values

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(find("helm"), tmp_path_factory.mktemp("helm"))


@pytest.mark.parametrize("values", RELEASES.values(), ids=RELEASES)
def test_helm_and_render_make_the_same_objects_of_the_same_values(
    helm: Program, values: Mapping[str, Any], tmp_path: Path
) -> None:
    file = values_file(tmp_path, values)
    whole = read(helm.run("template", "front", str(CHART), "--namespace", "place", "--values", file))
    made = [each for each in whole if "helm.sh/hook" not in each["metadata"].get("annotations", {})]
    assert by_name(made) == by_name(rendered(release(values, "front", "place")))
    check(whole)


def test_a_release_is_tested_and_a_fleet_drained_before_it_goes(helm: Program) -> None:
    made = by_name(read(helm.run("template", "toque", str(CHART), "--set", f"image={IMAGE}")))
    hooks = {name: each["metadata"].get("annotations", {}).get("helm.sh/hook") for name, each in made.items()}
    assert hooks["Pod", "toque-probe"] == "test"
    assert hooks["Job", "toque-drain"] == hooks["Role", "toque-drain"] == "pre-delete"


def test_the_chart_brings_the_definition_and_its_own_values() -> None:
    assert read((CHART / "crds" / "modelpools.yaml").read_text()) == [modelpool_crd()]
    assert yaml.safe_load((CHART / "values.yaml").read_text()) == default_values()


def test_lint_finds_nothing(helm: Program) -> None:
    assert "0 chart(s) failed" in helm.run("lint", str(CHART), "--strict", "--set", f"image={IMAGE}")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("gatway.pods=3", "gatway"),
        ("gateway.podz=3", "podz"),
        ("gateway.pods=many", "/gateway/pods"),
        ("gateway.pods=0", "minimum"),
        ("layout=other", "/layout"),
        ("image=", "/image"),
        ("gateway.annotations.a=1", "/gateway/annotations/a"),
    ],
)
def test_a_slip_in_the_values_is_refused(helm: Program, setting: str, complaint: str) -> None:
    done = helm.tried("template", "toque", str(CHART), "--set", f"image={IMAGE}", "--set", setting)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_release_whose_name_is_too_long_for_a_label_is_refused(helm: Program) -> None:
    done = helm.tried("template", "a" * 45, str(CHART), "--set", f"image={IMAGE}")
    assert "at most 40 letters" in done.stderr


def test_every_value_is_described() -> None:
    def undescribed(schema: Mapping[str, Any], path: str) -> list[str]:
        inner = schema.get("properties", {})
        own = [] if schema.get("description") else [path]
        return own + [each for name, one in inner.items() for each in undescribed(one, f"{path}.{name}")]

    assert undescribed(values_schema(), "values") == []
    assert "#" in chart()["values.yaml"]
