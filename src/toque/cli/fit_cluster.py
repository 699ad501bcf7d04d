"""What `toque check` finds about the cluster that replicas shall run in: is it there, and may we look into it?

Law: it asks once and changes nothing.
"""

import asyncio
from collections.abc import Iterator, Mapping

from toque.cli.findings import Finding, Verdict, from_error
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

SUBJECT = "cluster"


def check_cluster(spec: ServiceSpec, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Reach the cluster, where replicas are Pods."""
    if spec.driver != "kubernetes":
        return
    try:
        from toque.kube.visit import visit  # noqa: PLC0415 - an extra that others need not install
    except ModuleNotFoundError as error:
        missing = f"the package {error.name} is not installed"
        yield Finding(Verdict.FAULT, SUBJECT, missing, 'pip install "toque[kubernetes]"')
        return
    try:
        seen = asyncio.run(visit(spec.kubernetes, environment))
    except ConfigError as error:
        yield from_error(SUBJECT, error)
    else:
        yield Finding(Verdict.OK, SUBJECT, seen)
