"""The Helm chart, as the texts of its files: templates from the trees, values and their schema from the settings.

Law: what is the same for every chart of toque is a file beside this one (`chart/`); everything else is made from the code.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, get_args, get_origin

from toque import __version__
from toque.config.camel import camel
from toque.config.crd import modelpool_crd
from toque.config.shape import Entry, Shape
from toque.config.tables import description
from toque.deploy.everything import templates
from toque.deploy.hooks import drain, probe
from toque.deploy.text import document, documents
from toque.deploy.values import deploy_shape
from toque.deploy.words import whole

DEFINITION = "modelpools.yaml"
_MADE = "{{- /* Made by `toque deploy chart` from the code; do not edit. */}}\n"
_WIDTH = 118
_CONFIG = (
    "toque.toml for gateways and controllers, as text: keys, limits, overload and so on. Where they listen, whom they trust and where "
    "replicas are is set for them; with the layout `single` the models stand here too."
)
_MODELS = "ModelPools by name: what would be the `spec` of each. Those made by other hands are served all the same."


def chart() -> Mapping[str, str]:
    """Return the text of each file of the chart by its path."""
    made = {
        "Chart.yaml": _about(),
        "values.yaml": "".join(f"{line}\n" for line in _values()),
        "values.schema.json": json.dumps(values_schema(), indent=2) + "\n",
        f"crds/{DEFINITION}": document(whole(modelpool_crd())),
        "templates/tests/gateway.yaml": _MADE + document(probe()),
        "templates/drain.yaml": _MADE + documents(drain()),
    }
    made |= {f"templates/{name}": _MADE + documents(trees) for name, trees in templates().items()}
    kept = files("toque.deploy").joinpath("chart")
    return made | {f"templates/{file.name}": file.read_text("utf-8") for file in kept.iterdir() if file.is_file()}


def values_schema() -> dict[str, Any]:
    """Return the JSON Schema of the chart's values; a name that is not in it is refused."""
    schema = _table(deploy_shape())
    schema["properties"] |= {
        "config": {"type": "string", "description": _CONFIG},
        "models": {"type": "object", "description": _MODELS, "additionalProperties": {"type": "object"}},
        "global": {"type": "object", "description": "Helm's own, where this is a part of another chart."},
    }
    schema["properties"]["image"]["minLength"] = 1
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of toque", **schema}


def _about() -> str:
    return document(
        {
            "apiVersion": "v2",
            "name": "toque",
            "description": "Serves language models: gateways, controllers, and replicas that scale with their load.",
            "type": "application",
            "version": __version__,
            "appVersion": __version__,
        }
    ).removeprefix("---\n")


# ---- values ----------------------------------------------------------------------------------------------------------


def _values() -> Iterator[str]:
    yield "# Made by `toque deploy chart` from the settings' own declarations; do not edit. These are the settings of"
    yield "# [deploy] in toque.toml in camelCase: `toque deploy values` writes them from there."
    yield from _table_values(deploy_shape(), "")
    yield from _commented(_CONFIG, "")
    yield 'config: ""'
    yield from _commented(_MODELS, "")
    yield "models: {}"


def _table_values(shape: Shape, pad: str) -> Iterator[str]:
    for name, entry in shape.entries.items():
        if isinstance(entry, Shape):
            yield ""
            yield from _commented(entry.why, pad)
            yield f"{pad}{camel(name)}:"
            yield from _table_values(entry, pad + "  ")
        else:
            yield from _commented(description(entry), pad)
            default = list(entry.default) if isinstance(entry.default, tuple) else entry.default
            yield f"{pad}{camel(name)}: {json.dumps(default)}"


def _commented(text: str, pad: str) -> Iterator[str]:
    yield from (f"{pad}# {line}" for line in textwrap.wrap(text, _WIDTH - len(pad)))


# ---- their schema ----------------------------------------------------------------------------------------------------


def _table(shape: Shape) -> dict[str, Any]:
    properties = {
        camel(name): _table(entry) if isinstance(entry, Shape) else {"description": description(entry), **_kind(entry)}
        for name, entry in shape.entries.items()
    }
    return {"type": "object", "description": shape.why, "additionalProperties": False, "properties": properties}


def _kind(entry: Entry) -> dict[str, Any]:
    about, hint = entry.about, entry.hint
    if get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    if get_origin(hint) is not None:
        assert get_args(hint)[-1] is str
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if hint is str:
        return {"type": "string", **({"enum": list(about.choices)} if about.choices else {})}
    if hint is bool:
        return {"type": "boolean"}
    bounds = {name: bound for name in ("minimum", "maximum") if (bound := getattr(about, name)) is not None}
    return {"type": "integer", **bounds}
