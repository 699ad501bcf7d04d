"""Every third-party package has its room: a change of one of them is a change in one place."""

import sys
from collections.abc import Mapping

from tests.house.source import hold, imports, modules

ROOMS: Mapping[str, tuple[str, ...]] = {
    "google": ("toque.advice.external_scaler",),
    "grpc": ("toque.advice.keda",),
    "httptools": ("toque.wire",),
    "httpx2": ("toque.kube",),
    "kopf": ("toque.operator.informer",),
    "lightkube": ("toque.kube", "toque.drivers.kubernetes"),
    "msgspec": (
        "toque.advice",
        "toque.agents",
        "toque.alliance",
        "toque.batch",
        "toque.cli",
        "toque.conformance",
        "toque.drivers",
        "toque.gateway",
        "toque.records",
        "toque.testing",
        "toque.wire",
    ),
    "prometheus_client": ("toque.app", "toque.records"),
    "psycopg": ("toque.batch.postgres",),
    "pydantic": ("toque.config",),
    "pydantic_core": ("toque.config",),
    "python_multipart": ("toque.batch.upload",),
    "rich": ("toque.cli",),
    "starlette": (
        "toque.advice",
        "toque.agents.host_routes",
        "toque.batch.file_routes",
        "toque.batch.pages",
        "toque.batch.routes",
        "toque.gateway",
    ),
    "uvloop": ("toque.agents.host_server", "toque.app", "toque.cli"),
    "xllamacpp": ("toque.agents.llama_cpp_server",),
}


def test_third_party_packages_stay_in_their_rooms() -> None:
    ours = sys.stdlib_module_names | {"toque"}
    used = ((module.name, name.partition(".")[0]) for module in modules("src") for name in imports(module))
    hold(
        "room",
        (
            f"{module}:{package}"
            for module, package in used
            if package not in ours and not any(f"{module}.".startswith(f"{room}.") for room in ROOMS.get(package, ()))
        ),
    )
