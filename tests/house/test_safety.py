"""What no line of ours may do, checked on the syntax tree: run text as code, compare secrets in variable time (S03, S10)."""

import ast
import re
import sys
from collections.abc import Iterator

from tests.house.source import Module, dotted, hold, imports, modules

PYTHON = ("src", "tests", "bench", "examples")
UNSAFE_MODULES = {"dill", "cloudpickle", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}
SAFE_YAML = ("yaml.safe_load", "yaml.safe_load_all")
"""All that may be called of it, by its whole name; the rest makes objects of what it reads."""
UNSAFE_CALLS = {"compile", "eval", "exec", "os.popen", "os.system", "shutil.unpack_archive"}
UNSAFE_METHODS = {"extractall"}
SECRET_WORDS = {"authorization", "bearer", "credential", "digest", "digests", "hexdigest", "hmac", "password", "secret"}
PURE_MODULES = {
    "abc", "bisect", "collections", "contextlib", "dataclasses", "enum", "functools", "heapq", "itertools", "math",
    "operator", "re", "types", "typing",
}  # fmt: skip
"""All that core and model may import beside each other: nothing here waits, logs, rolls dice or reaches the world."""


def _unsafe(module: Module) -> Iterator[str]:
    yield from (name for name in imports(module) if name.partition(".")[0] in UNSAFE_MODULES)
    yield from (name for name in imports(module) if name.startswith("yaml."))
    for call in module.nodes(ast.Call):
        name = dotted(call.func)
        if name.startswith("yaml.") and name not in SAFE_YAML:
            yield name
        if name in UNSAFE_CALLS or (isinstance(call.func, ast.Attribute) and call.func.attr in UNSAFE_METHODS):
            yield name or "extractall"
        for keyword in call.keywords:
            if keyword.arg == "shell" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield "shell="


def test_s10_nothing_runs_text_as_code_or_unpacks_what_it_was_sent() -> None:
    hold("unsafe", (f"{module.place}:{what}" for module in modules(*PYTHON) for what in _unsafe(module)))


def _is_secret(side: ast.expr) -> bool:
    if isinstance(side, ast.Call):
        return _is_secret(side.func)
    name = side.attr if isinstance(side, ast.Attribute) else dotted(side)
    return bool(set(re.split(r"_+", name.lower())) & SECRET_WORDS)


def _is_public(side: ast.expr) -> bool:
    """What stands in the source is no secret: a literal, or a constant such as a published checksum."""
    return isinstance(side, ast.Constant) or dotted(side).rpartition(".")[2].isupper()


def _leaky_comparisons(module: Module) -> Iterator[ast.Compare]:
    for comparison in module.nodes(ast.Compare):
        sides = [comparison.left, *comparison.comparators]
        equality = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in comparison.ops)
        if equality and any(map(_is_secret, sides)) and not any(map(_is_public, sides)):
            yield comparison


def test_s03_secrets_and_digests_are_never_compared_with_equals() -> None:
    hold(
        "compare",
        (f"{module.place}:{ast.unparse(line)}" for module in modules("src") for line in _leaky_comparisons(module)),
    )


def test_core_and_model_import_only_what_cannot_touch_the_world() -> None:
    pure = modules("src/toque/core", "src/toque/model")
    foreign = (
        f"{module.place}:{name}"
        for module in pure
        for name in imports(module)
        if name.partition(".")[0] not in PURE_MODULES | {"toque"}
    )
    hold("pure", foreign)
    assert sys.stdlib_module_names >= PURE_MODULES


WALL_CLOCK = {
    "time.time",
    "time.time_ns",
    "time.gmtime",
    "time.localtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
}
STAMPS = {
    "src/toque/agents/host_routes.py",  # `created` of an answer
    "src/toque/app/advice.py",  # the time of an external metric
    "src/toque/app/service.py",  # handed to the access line and to recorded traffic
    "src/toque/app/controller.py",  # handed to the times of Leases, statuses and Events
    "src/toque/app/jobs.py",  # leases and windows of batches are stored: they must mean the same after a restart
    "src/toque/cli/key.py",  # when a new key expires, and a rotated one with it
    "src/toque/app/keys.py",  # days and expiry dates of keys are the calendar's; read once, at the start
    "src/toque/app/reload.py",  # the metric that says when settings were last read
    "src/toque/agents/load_page.py",  # endpoint pickers take the latest of a replica's metrics by their value
    "src/toque/records/load.py",  # and of a gateway's
}
"""Where the wall clock stands in what people read or what is stored, and decides nothing of the fleet."""


def test_l12_the_wall_clock_is_read_for_stamps_and_nowhere_else() -> None:
    readers = {
        module.place for module in modules("src") for node in module.nodes(ast.Attribute) if dotted(node) in WALL_CLOCK
    }
    hold("wall-clock", readers - STAMPS)
    assert readers >= STAMPS, "an entry that is no longer needed"
