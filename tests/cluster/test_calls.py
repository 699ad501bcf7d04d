"""What a controller asks of the API server, by the API server's own audit log: calm costs the same however many pools there are."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.controlled import ACCOUNT, Controlled, controlled, leads, pool
from tests.cluster.place import Cluster, namespace
from tests.service import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
"""
CALM_S = 20.0
MANY = 100


class Audit:
    """Reads who asked what."""

    def __init__(self, path: Path, user: str) -> None:
        self._path = path
        self._user = user

    def calls(self) -> Counter[str]:
        """How often the user asked for what since the start, as `verb resource`."""
        counts: Counter[str] = Counter()
        for line in self._path.read_text().splitlines():
            entry = json.loads(line)
            if entry["user"]["username"] == self._user and "objectRef" in entry:
                subresource = entry["objectRef"].get("subresource", "")
                kind = entry["objectRef"]["resource"] + (f"/{subresource}" if subresource else "")
                counts[f"{entry['verb']} {kind}"] += 1
        return counts


def calm(here: Controlled, controller: Service, audit: Audit) -> Counter[str]:
    """Wait until nothing is written any more, then for a while, and return what was asked meanwhile."""
    is_writing = {"patch modelpools", "patch modelpools/status", "create events"}

    def elapsed(seconds: float) -> None:
        now = controller.get("/admin/v1/pools")["now"]
        until(lambda: controller.get("/admin/v1/pools")["now"] > now + seconds, 2 * seconds + 10)

    while True:
        before = audit.calls()
        elapsed(3.0)
        if not is_writing & (audit.calls() - before).keys():
            break
    before = audit.calls()
    elapsed(CALM_S)
    return audit.calls() - before


def test_a_hundred_pools_in_calm_cost_no_more_calls_than_two(
    private_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    log = tmp_path / "audit.log"
    flags = {"audit-policy-file": str(tmp_path / "policy.yaml"), "audit-log-path": str(log)}
    cluster = private_cluster(api_server=flags)
    with ExitStack() as stack:
        place = stack.enter_context(namespace(cluster))
        here = stack.enter_context(controlled(place, tmp_path))
        audit = Audit(log, f"system:serviceaccount:{place.namespace}:{ACCOUNT}")
        controller = stack.enter_context(here.controller())
        until(lambda: leads(controller))
        names = [f"pool-{number}" for number in range(MANY)]
        for name in names[:2]:
            here.apply(pool(name, warm=0))
        until(lambda: all(here.condition("Ready", name) for name in names[:2]))
        few = calm(here, controller, audit)
        here.apply({"apiVersion": "v1", "kind": "List", "items": [pool(name, warm=0) for name in names[2:]]})
        until(lambda: all(each.get("status") for each in place.api.list("modelpools")), 60)
        many = calm(here, controller, audit)
        print(f"in {CALM_S:g} s with 2 pools: {dict(few)}; with {MANY}: {dict(many)}; in all: {dict(audit.calls())}")
        assert set(many) <= {"update leases", "watch modelpools", "watch pods", "watch deployments"}
        assert many.total() <= few.total() + 3
