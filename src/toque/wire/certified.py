"""Connections under TLS whose client shows a certificate.

Law: the handshake has proven who signed it before anything is read; whether that name may ask is for the handler to say.
"""

import asyncio

from toque.wire.incoming import Host, Incoming


class Certified(Incoming):
    """One client's socket. `subject` is the common name of its certificate; empty where it showed none."""

    __slots__ = ("subject",)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.subject = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is over."""
        shown = transport.get_extra_info("peercert") or {}
        fields = (field for relative in shown.get("subject", ()) for field in relative)
        self.subject = next((value for name, value in fields if name == "commonName"), "")
        super().connection_made(transport)
