"""A ModelPool is a `[models.NAME]` table as a Kubernetes object: spelling there and back, and the schema of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
from hypothesis import given
from hypothesis import strategies as st

from toque.config.camel import camel, from_camel, model_shape, snake, to_camel
from toque.config.crd import modelpool_crd
from toque.config.shape import Entry, Shape

Node = Mapping[str, Any]


def names(shape: Shape) -> Iterator[str]:
    for name, entry in shape.entries.items():
        yield name
        if isinstance(entry, Shape):
            yield from names(entry)


def tables(shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
    """Tables of this shape, some settings said and some not, with odd names inside what is free."""
    free = st.dictionaries(st.text(max_size=5), st.integers())
    values = {
        name: tables(entry) if isinstance(entry, Shape) else free if name == "options" else st.integers()
        for name, entry in shape.entries.items()
    }
    return st.fixed_dictionaries({}, optional=values)


@given(tables(model_shape()))
def test_there_and_back_gives_the_same_settings(table: dict[str, Any]) -> None:
    assert from_camel(to_camel(table)) == table


def test_every_setting_has_one_spelling_of_each_kind() -> None:
    assert {snake(camel(name)) for name in names(model_shape())} == set(names(model_shape()))
    spec = {"replicas": {"scaleDownDelayS": 5}, "options": {"myOwn": 1}, "slotz": 2}
    table = {"replicas": {"scale_down_delay_s": 5}, "options": {"myOwn": 1}, "slotz": 2}
    assert from_camel(spec) == table


# ---- the definition --------------------------------------------------------------------------------------------------

SCHEMA: Node = modelpool_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]  # type: ignore[index,call-overload]


def nodes(schema: Node) -> Iterator[Node]:
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from nodes(inner)
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name])


def test_the_definition_is_one_for_every_kubernetes() -> None:
    kubernetes_validate.validate(modelpool_crd(), "1.35", strict=False)


def test_the_schema_is_structural() -> None:
    free = {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
    for node in nodes(SCHEMA):
        assert "type" in node or node.keys() & free, node
        assert not ("properties" in node and "additionalProperties" in node)
        assert "$ref" not in node
        assert "title" not in node
        assert all(not branch.keys() & {"default", "description"} for branch in node.get("anyOf", ()))


def test_the_schema_knows_every_setting_of_a_model_with_its_bounds() -> None:
    spec = SCHEMA["properties"]["spec"]["properties"]
    assert spec.keys() == {camel(name) for name in model_shape().entries}
    assert (spec["slots"]["minimum"], spec["slots"]["maximum"]) == (1, 4096)
    assert (spec["queue"]["properties"]["waitSMax"]["minimum"], spec["retry"]["type"]) == (0, "object")
    assert spec["queue"]["properties"]["waitSMax"]["exclusiveMinimum"] is True
    assert spec["agent"]["anyOf"][0] == {"enum": ["llama.cpp", "openai", "fake"]}
    slots = model_shape().entries["slots"]
    assert isinstance(slots, Entry)
    assert slots.about.why in spec["slots"]["description"]


def test_only_the_number_that_others_set_has_a_default_there_so_that_an_object_stays_as_it_was_applied() -> None:
    assert [node["default"] for node in nodes(SCHEMA) if "default" in node] == [{}, 0]
    assert SCHEMA["properties"]["spec"]["properties"]["replicas"]["properties"]["target"]["default"] == 0
