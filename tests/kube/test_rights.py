"""The rights that people are told to give are those that toque uses, and those the chart gives."""

import re
from pathlib import Path

import yaml

from toque.kube.rights import CONTROLLER, GATEWAY

DOCS = Path(__file__).parents[2] / "docs"


def roles(page: str) -> list[object]:
    """The rules of every Role on a page, in order."""
    texts = re.findall(r"```yaml\n(apiVersion: rbac.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return [yaml.safe_load(text)["rules"] for text in texts]


def test_the_page_of_rights_has_them_all() -> None:
    assert roles("reference/rights.md") == [list(CONTROLLER), list(GATEWAY)]


def test_the_guide_of_the_driver_has_those_of_one_toque() -> None:
    assert roles("how-to/kubernetes.md") == [list(GATEWAY)]


def test_nobody_may_do_anything_to_everything() -> None:
    for rule in CONTROLLER:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
