"""Contradictions in where and to whom the scaling decision is told.

Law: as in `rules.py`: what is wrong, where, and what to write instead.
"""

from collections.abc import Iterator

from toque.config.address import split_address
from toque.config.contradiction import Contradiction
from toque.model.advice_spec import AdviceSpec

OFF = "off"


def advice_contradictions(advice: AdviceSpec) -> Iterator[Contradiction]:
    """Yield what does not hold in `[advice]`."""
    for name, address, port in (("metrics_api", advice.metrics_api, 8443), ("keda", advice.keda, 7071)):
        if address != OFF and not _is_address(address):
            told = f"advice.{name} {address!r} is no address."
            yield Contradiction(("advice", name), told, f"Write host:port, such as 0.0.0.0:{port}.")
    if advice.metrics_api != OFF and advice.metrics_api == advice.keda:
        yield Contradiction(
            ("advice", "keda"), "advice.keda is the same as advice.metrics_api.", "Give it a port of its own."
        )
    needed = ("certificate", "certificate_key", "client_ca") if advice.metrics_api != OFF else ()
    for name in needed or (("certificate", "certificate_key") if advice.certificate or advice.certificate_key else ()):
        if not getattr(advice, name):
            told = f"advice.{name} is missing: the Kubernetes API server asks over TLS."
            yield Contradiction(("advice", name), told if needed else f"advice.{name} is missing.", "Name a PEM file.")


def _is_address(text: str) -> bool:
    try:
        split_address(text)
    except ValueError:
        return False
    return True
