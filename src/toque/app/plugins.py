"""Policies and routers of the user's own: `package.module:Class` in the settings, no table line.

Law: what cannot be imported is a `ConfigError` before anything starts.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from toque.core.routing import ROUTERS, Router, RouterTable
from toque.core.scaling import POLICIES, Policy, PolicyTable
from toque.model.errors import ConfigError
from toque.model.spec import FleetSpec, PoolSpec


def policies_for(spec: FleetSpec) -> PolicyTable:
    """Return our policies and those the pools name."""
    own = {pool.scaling.policy for pool in spec.pools} - POLICIES.keys()
    return {**POLICIES, **{name: cast(Callable[[PoolSpec], Policy], _load(name, POLICIES)) for name in own}}


def routers_for(spec: FleetSpec) -> RouterTable:
    """Return our routers and those the pools name."""
    own = {pool.routing for pool in spec.pools} - ROUTERS.keys()
    return {**ROUTERS, **{name: cast(Callable[[], Router], _load(name, ROUTERS)) for name in own}}


def _load(name: str, known: PolicyTable | RouterTable) -> object:
    module, _, attribute = name.partition(":")
    try:
        loaded: object = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = f"Write {', '.join(known)} or package.module:Class."
        raise ConfigError(f"There is no policy {name!r}: {error}", fix=fix) from error
    return loaded
