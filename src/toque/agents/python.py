"""Agent `package.module:Class`: a Python class of the user's own that generates and streams.

Law: checking looks for the module without importing anything of it; only the child that hosts it runs its code.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from toque.agents.hosted import HostedKind
from toque.model.agent_spec import AgentSpec
from toque.model.errors import ConfigError


class PythonKind(HostedKind):
    """Replicas are children that host the user's class; `docs/add-an-agent.md` says what it must have."""

    def check(self, spec: AgentSpec) -> None:
        """Raise `ConfigError` when the module is not there. The class is seen only by the child."""
        module, _, name = self.class_path.partition(":")
        if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(
                f"The agent {self.class_path!r} is not of the form package.module:Class.",
                fix='Write agent = "package.module:Class".',
            )
        if _find(module) is None:
            raise ConfigError(
                f"There is no Python module {module}.",
                fix="Start toque in the folder of the module, or put that folder into PYTHONPATH.",
            )


def _find(module: str) -> ModuleSpec | None:
    """Look where the child will: it puts the current folder in front of the others."""
    folders: list[str] | None = [str(Path.cwd()), *sys.path]
    found: ModuleSpec | None = None
    name = ""
    for part in module.split("."):
        if folders is None:
            return None
        name = f"{name}.{part}" if name else part
        found = PathFinder.find_spec(name, folders)
        if found is None:
            return None
        locations = found.submodule_search_locations
        folders = None if locations is None else list(locations)
    return found
