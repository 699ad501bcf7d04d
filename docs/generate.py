"""Writes the pages of docs/reference that are made from the code. Run by `./dev docs`; a test holds them current."""

import json
from pathlib import Path

from docs.catalogue import faults_page

from toque.cli.reference import cli_page, errors_page
from toque.config.crd import modelpool_crd
from toque.config.reference import configuration_page
from toque.config.tables import json_schema

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "cli.md": cli_page(),
        "errors.md": errors_page(),
        "faults.md": faults_page(),
        "configuration.md": configuration_page(),
        "modelpool-crd.json": json.dumps(modelpool_crd(), indent=2) + "\n",
        "toque.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
