"""Who may ask the aggregated API: the Kubernetes API server's own client, and nobody behind its back.

Law: the API server has authenticated and authorised the person before it asks on their behalf, so its certificate is all
that counts here; no header of a request is believed.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass

from toque.advice.kinds import refused
from toque.model.advice_spec import AdviceSpec
from toque.model.errors import ConfigError
from toque.wire.asgi import AsgiExchange, AsgiHandler
from toque.wire.certified import Certified
from toque.wire.incoming import Incoming
from toque.wire.request import Request


@dataclass(frozen=True, slots=True)
class FrontProxyOnly:
    """The handler that asks `inner` for who bears one of the names (none: any that the authority signed), else `stranger`."""

    inner: AsgiHandler
    stranger: AsgiHandler
    names: Collection[str]

    def __call__(self, request: Request, connection: Incoming) -> AsgiExchange:
        """Begin to answer a request."""
        name = connection.subject if isinstance(connection, Certified) else ""
        may_ask = name in self.names or (name and not self.names)
        return (self.inner if may_ask else self.stranger)(request, connection)

    async def close(self) -> None:
        """End every answer under way."""
        await self.inner.close()
        await self.stranger.close()


STRANGER = refused(403, "Forbidden", "Only the API server's front proxy may ask here: see advice.client_names.")


def front_proxy_tls(spec: AdviceSpec) -> ssl.SSLContext:
    """Make the TLS of the aggregated API: a certificate of ours, and one of the front proxy's authority asked for.

    Raises `ConfigError` for a file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(spec.certificate, spec.certificate_key)
    except OSError as error:
        raise _unusable("certificate", f"{spec.certificate} with {spec.certificate_key}", error) from error
    try:
        context.load_verify_locations(spec.client_ca)
    except OSError as error:
        raise _unusable("client_ca", spec.client_ca, error) from error
    return context


def _unusable(setting: str, file: str, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError(
        f"cannot use {file}: {reason}", fix=f"set advice.{setting} to a PEM file that this process may read"
    )
