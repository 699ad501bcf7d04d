"""Where replicas run. One file a kind, one table line.

Law: drivers are unaware of each other and of agents; a name that is not in the table is `package.module:Class`, made with
a `Site` like those in it.
"""

from importlib import import_module
from typing import cast

from toque.drivers.site import Site
from toque.model.errors import ConfigError
from toque.ports import Driver

DRIVERS = {
    "process": "toque.drivers.process:ProcessDriver",
    "static": "toque.drivers.static:StaticDriver",
}


def open_driver(name: str, site: Site) -> Driver:
    """Make the driver called `name`; inside a running event loop. Raises `ConfigError` when there is none."""
    module_name, _, class_name = DRIVERS.get(name, name).partition(":")
    try:
        made: object = getattr(import_module(module_name), class_name)(site)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(DRIVERS)
        raise ConfigError(
            f"There is no driver {name!r}: {error}", fix=f"Write {known} or package.module:Class."
        ) from error
    return cast(Driver, made)
