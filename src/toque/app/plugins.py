"""Policies and routers of the user's own: `package.module:Class` in the settings, no table line.

Law: what cannot be imported is a `ConfigError` before anything starts or changes.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from toque.core.policy import Policy
from toque.core.routing import ROUTERS, Router, RouterTable
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.errors import ConfigError
from toque.model.spec import FleetSpec, PoolSpec

ASKED = ("desire", "foresees", "holds_back")
"""What the core asks a policy for."""


class Plugins:
    """Both tables, ours and what pools name. They grow with a reload, and whoever was given one sees that."""

    def __init__(self, spec: FleetSpec) -> None:
        self.policies: dict[str, Callable[[PoolSpec], Policy]] = dict(POLICIES)
        self.routers: dict[str, Callable[[], Router]] = dict(ROUTERS)
        self.load(spec)

    def load(self, spec: FleetSpec) -> None:
        """Learn what the pools of a spec name. Raises `ConfigError`, and has learned nothing then that is used."""
        for pool in spec.pools:
            policy, router = pool.scaling.policy, pool.routing
            if policy not in self.policies:
                self.policies[policy] = cast(Callable[[PoolSpec], Policy], _policy(policy))
            if router not in self.routers:
                self.routers[router] = cast(Callable[[], Router], _load(router, ROUTERS))


def _policy(name: str) -> object:
    """A class must have what the core asks for beside `desire`; who inherits from `Policy` has it."""
    loaded = _load(name, POLICIES)
    if isinstance(loaded, type) and (lacking := [ask for ask in ASKED if not hasattr(loaded, ask)]):
        fix = "Let it inherit from toque.core.policy.Policy: docs/add-a-policy.md."
        raise ConfigError(f"The policy {name!r} lacks {', '.join(lacking)}", fix=fix)
    return loaded


def _load(name: str, known: PolicyTable | RouterTable) -> object:
    module, _, attribute = name.partition(":")
    try:
        loaded: object = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = f"Write {', '.join(known)} or package.module:Class."
        raise ConfigError(f"There is no policy {name!r}: {error}", fix=fix) from error
    return loaded
