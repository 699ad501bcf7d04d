"""After a change of the key file: have the running service take it over, and say whether it did.

Law: the change is in the file already, and stays there whatever the service says.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from toque.cli.admin import admin_service
from toque.cli.exits import NotRunningError
from toque.config.address import split_address
from toque.model.service_spec import ServiceSpec

RELOAD = "/admin/v1/reload"
_LATER = "It holds from the next start or `toque reload` on."


def have_reloaded(named: str, environment: Mapping[str, str], spec: ServiceSpec, key: str) -> tuple[bool, str]:
    """Ask the service to reload; returns whether the change of a key is in force there, and that in words.

    Raises `UpstreamError` when the service refuses the settings as they are now.
    """
    if not named and spec.admin_listen == "off":
        return False, f"The service has no admin listener (send it SIGHUP). {_LATER}"
    service = admin_service(named or _url(spec.admin_listen), environment)
    try:
        told = service.post(RELOAD)
    except NotRunningError:
        return False, f"No toque answers at {service.url}. {_LATER}"
    if any(f" keys.{key}." in line for line in cast(Sequence[str], told["changes"])):
        return True, f"The toque at {service.url} goes by it now."
    return False, f"The toque at {service.url} does not read {spec.keys_file}. {_LATER}"


def _url(address: str) -> str:
    host, port = split_address(address)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
