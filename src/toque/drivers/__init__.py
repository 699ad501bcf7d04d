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
    "given": "toque.drivers.given:GivenDriver",
    "kubernetes": "toque.drivers.kubernetes:KubernetesDriver",
    "process": "toque.drivers.process:ProcessDriver",
    "static": "toque.drivers.static:StaticDriver",
}
EXTRAS = {"lightkube": "kubernetes", "httpx2": "kubernetes"}
"""Package -> the extra of toque that installs it."""


def open_driver(name: str, site: Site) -> Driver:
    """Make the driver called `name`; inside a running event loop. Raises `ConfigError` when there is none."""
    module_name, _, class_name = DRIVERS.get(name, name).partition(":")
    try:
        made: object = getattr(import_module(module_name), class_name)(site)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise ConfigError(f"There is no driver {name!r}: {error}", fix=_known()) from error
        raise ConfigError(
            f"The driver {name} needs the package {error.name}, which is not installed.",
            fix=f'pip install "toque[{EXTRAS[error.name]}]"',
        ) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"There is no driver {name!r}: {error}", fix=_known()) from error
    return cast(Driver, made)


def _known() -> str:
    return f"Write {', '.join(DRIVERS)} or package.module:Class."
