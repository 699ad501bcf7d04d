"""Writes the pages of docs/reference and the Helm chart, which are made from the code. Run by `./dev docs`; a test holds them current."""

import json
from pathlib import Path

from docs.catalogue import faults_page
from docs.rights import rights_page

from toque.cli.reference import cli_page, errors_page
from toque.config.crd import modelpool_crd
from toque.config.reference import configuration_page
from toque.config.tables import json_schema
from toque.deploy.chart import chart

REFERENCE = Path(__file__).parent / "reference"
CHART = Path(__file__).parents[1] / "charts" / "toque"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "cli.md": cli_page(),
        "errors.md": errors_page(),
        "faults.md": faults_page(),
        "configuration.md": configuration_page(),
        "modelpool-crd.json": json.dumps(modelpool_crd(), indent=2) + "\n",
        "rights.md": rights_page(),
        "toque.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def generated() -> dict[Path, str]:
    """Return the text of each generated file by its place."""
    made = {REFERENCE / name: text for name, text in pages().items()}
    return made | {CHART / name: text for name, text in chart().items()}


if __name__ == "__main__":
    for place, text in generated().items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
