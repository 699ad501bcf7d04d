"""Pod Security "restricted", as its published table has it, checked on the spec of a Pod.

Each rule names the fields it forbids or demands; `violations` says which do not hold. Source: the Pod Security Standards page of
Kubernetes' documentation, "Baseline" and "Restricted".
"""

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
}  # fmt: skip
PROFILES = {"RuntimeDefault", "Localhost"}


def violations(spec: Spec) -> list[str]:
    """Return what keeps a Pod out of a namespace that enforces "restricted"; empty: nothing."""
    return [*_of_pod(spec), *(told for container in _containers(spec) for told in _of_container(container, spec))]


def _containers(spec: Spec) -> Iterator[Spec]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind, ())


def _of_pod(spec: Spec) -> Iterator[str]:
    context = spec.get("securityContext", {})
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field))
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    for volume in spec.get("volumes", ()):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume}"
    for sysctl in context.get("sysctls", ()):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if context.get("runAsUser") == 0:
        yield "runAsUser of the Pod"
    if "seLinuxOptions" in context:
        yield "seLinuxOptions of the Pod"


def _of_container(container: Spec, pod: Spec) -> Iterator[str]:
    own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
    capabilities = own.get("capabilities", {})
    probes = [container.get(probe, {}) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    holds = {
        "privileged": not own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "dropped capabilities": capabilities.get("drop") == ["ALL"],
        "added capabilities": set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"},
        "runAsNonRoot": own.get("runAsNonRoot", shared.get("runAsNonRoot")) is True,
        "runAsUser": own.get("runAsUser") != 0,
        "seccompProfile": own.get("seccompProfile", shared.get("seccompProfile", {})).get("type") in PROFILES,
        "procMount": own.get("procMount", "Default") == "Default",
        "seLinuxOptions": "seLinuxOptions" not in own,
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", ())),
        "host of a probe": not any(
            call.get("host") for probe in probes for call in probe.values() if isinstance(call, dict)
        ),
    }
    yield from (f"{container['name']}: {rule}" for rule, is_kept in holds.items() if not is_kept)
