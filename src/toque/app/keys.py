"""The keys of a service, and the accounts by which those with limits are held to them.

Law: the wall clock is read once, at the start; from then on days go by the fleet's own clock, which nobody sets (L12).
"""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from toque.app.fleet import OpenFleet
from toque.app.lineup import Lineup
from toque.app.state import state_dir
from toque.gateway.accounts import Accounts
from toque.gateway.auth import KeyRing
from toque.model.errors import ConfigError
from toque.records.usage import UsageFile

USAGE_NAME = "usage.json"


@asynccontextmanager
async def open_accounts(fleet: OpenFleet) -> AsyncGenerator[Accounts, None]:
    """Open the accounts, with what was used today before. Raises `ConfigError` where that cannot be kept."""
    controller = fleet.controller
    epoch_s = time.time() - controller.now()  # noqa: TID251 - days are the wall clock's
    path = state_dir(fleet.lineup.spec.records.state_dir, os.environ) / USAGE_NAME
    accounts = Accounts(lambda: controller.now() + epoch_s, UsageFile(path))
    try:
        await accounts.open()
    except OSError as error:
        raise ConfigError(
            f"cannot keep what keys use in {path}: {error.strerror}", fix="set records.state_dir"
        ) from error
    try:
        yield accounts
    finally:
        await accounts.close()


def ring_of(lineup: Lineup, accounts: Accounts) -> KeyRing:
    """Return the keys of a lineup. The accounts go by it from now on."""
    spec = lineup.spec
    accounts.revise(spec.keys, {pool.name: pool.price for pool in lineup.fleet.pools})
    return KeyRing(
        spec.keys,
        lineup.ways,
        keyless_may_leave=spec.keyless_may_leave,
        accounts=accounts,
        is_guarded=bool(spec.keys_file),
    )
