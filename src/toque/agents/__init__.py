"""What speaks to a model. One file a kind, one line in the table here; or `package.module:Class`, with no line at all.

Law: a kind is imported when it is asked for, so that a replica's process loads nothing of the others.
"""

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from toque.model.agent_spec import Secret
from toque.model.errors import ConfigError
from toque.ports import AgentKind


def _llama_cpp(_: Callable[[str], Secret]) -> AgentKind:
    from toque.agents.llama_cpp import LlamaCpp  # noqa: PLC0415

    return LlamaCpp()


def _openai(resolve: Callable[[str], Secret]) -> AgentKind:
    from toque.agents.openai import OpenAIKind  # noqa: PLC0415

    return OpenAIKind(resolve)


def _fake(_: Callable[[str], Secret]) -> AgentKind:
    from toque.agents.fake import FakeKind  # noqa: PLC0415

    return FakeKind()


def _python(class_path: str) -> AgentKind:
    from toque.agents.python import PythonKind  # noqa: PLC0415

    return PythonKind(class_path)


AGENTS: Mapping[str, Callable[[Callable[[str], Secret]], AgentKind]] = MappingProxyType(
    {"llama.cpp": _llama_cpp, "openai": _openai, "fake": _fake}
)
"""Name in the settings -> how the kind is made, given what turns a key's reference into the key."""


def agent_kind(name: str, resolve: Callable[[str], Secret]) -> AgentKind:
    """Return the kind of that name. Raises `ConfigError` for an unknown one, with the nearest that there is."""
    if ":" in name:
        return _python(name)
    make = AGENTS.get(name)
    if make is None:
        near = difflib.get_close_matches(name, AGENTS, n=1)
        raise ConfigError(
            f"There is no agent {name!r}.",
            fix=f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(AGENTS)}, and package.module:Class.",
        )
    return make(resolve)
