"""What may be compiled (docs/adr/0025): the list names modules that exist, and none of them says what mypyc would lose."""

import ast
import re
from collections.abc import Iterator

import hatch_build
from tests.house.source import ROOT, Module, dotted, hold, modules


def hot() -> Iterator[Module]:
    places = {f"src/{path}" for path in hatch_build.hot()}
    found = {module.place: module for module in modules("src")}
    assert places <= found.keys(), f"named and not there: {sorted(places - found.keys())}"
    return (found[place] for place in sorted(places))


def test_no_struct_is_compiled_for_its_types_and_keywords_would_be_lost() -> None:
    classes = [(it.place, c) for it in hot() for c in it.nodes(ast.ClassDef)]
    lost = [
        (place, c) for place, c in classes if c.keywords or any(dotted(base).endswith("Struct") for base in c.bases)
    ]
    hold("compiled-structs", {f"{place}: {c.name}" for place, c in lost})


def test_nobody_is_named_like_a_word_of_c() -> None:
    names = {f"{it.place}: {n.attr}" for it in hot() for n in it.nodes(ast.Attribute) if n.attr == "_thread"}
    hold("compiled-names", names)


def test_a_class_that_python_may_extend_is_found_where_it_is_said_to_be() -> None:
    for name, opened in hatch_build.OPEN.items():
        text = (ROOT / "src" / "toque" / f"{name}.py").read_text("utf-8")
        assert len(re.findall(rf"^class {opened}\b", text, re.MULTILINE)) == 1, f"{opened} in {name}"
