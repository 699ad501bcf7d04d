"""A real machine of a cluster: containerd and the real kubelet, with everything of theirs in one folder, one bridge and one cgroup.

Law: when it stopped, or its start failed, nothing of it is left: no container, no shim, no mount, no bridge, no cgroup.
"""

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

from tests.cluster.rig.api import until
from tests.cluster.rig.binaries import find_binaries
from tests.cluster.rig.control_plane import ControlPlane
from tests.cluster.rig.process import Process

NEEDED = ("kubelet", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "busybox")
PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
LOGS = Path("/var/log/pods")
PAUSE = "registry.test/pause:1"
READY_S = 60.0
GONE_S = 30.0
_CONTAINERD = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
stream_server_port = "0"
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/network"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


class Machine:
    """Lives in `folder`, between `start` and `stop`, as the machine `name` of a control plane."""

    def __init__(self, plane: ControlPlane, folder: Path, name: str = "real") -> None:
        self.name = name
        self._plane, self._folder = plane, folder
        self._binaries = find_binaries(*NEEDED)
        self._socket = folder / "containerd.sock"
        self._net = f"10.{100 + secrets.randbelow(100)}.0"
        mark = secrets.token_hex(3)
        self._bridge, self._cgroup = f"toque{mark}", f"toque-{mark}"
        self._running: list[Process] = []
        self.kubelet_log, self.containerd_log = folder / "kubelet.log", folder / "containerd.log"
        self._logs_before = logs_of_pods()

    @property
    def address(self) -> str:
        """The machine's, as its Pods see it."""
        return f"{self._net}.1"

    # ---- its life

    def start(self) -> None:
        """Start everything and wait until the cluster says that it is ready."""
        try:
            self._folder.mkdir(parents=True)
            self._connect()
            self._run(
                "containerd", "--config", self._written("containerd.toml", self._containerd()), log=self.containerd_log
            )
            until(lambda: self._ctr("version").returncode == 0, READY_S)
            self.load(pause_image(self._binaries["busybox"]))
            self._start_kubelet()
            until(self._is_ready, READY_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, and take away what it left."""
        for process in reversed(self._running):
            process.stop()
        self._running.clear()
        for pid in self._shims():
            end_family(pid)
        for mounted in sorted(self._mounts(), reverse=True):
            subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
        self._disconnect()
        until(self._has_no_cgroups, GONE_S)
        for left in (self._folder, *(logs_of_pods() - self._logs_before)):
            shutil.rmtree(left, ignore_errors=True)

    def load(self, archive: bytes) -> None:
        """Give it an image, from an archive of one."""
        done = self._ctr("-n", "k8s.io", "images", "import", "-", given=archive)
        assert done.returncode == 0, done.stderr

    # ---- its parts

    def _run(self, name: str, *words: str, log: Path) -> None:
        self._running.append(Process([self._binaries[name], *words], log))

    def _ctr(self, *words: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        argv = [self._binaries["ctr"], "--address", str(self._socket), *words]
        return subprocess.run(argv, input=given, capture_output=True, check=False, timeout=60)

    def _connect(self) -> None:
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        self._ip("link", "set", self._bridge, "up")
        plugin = {
            "type": "bridge",
            "bridge": self._bridge,
            "ipam": {
                "type": "host-local",
                "dataDir": f"{self._folder}/addresses",
                "ranges": [[{"subnet": f"{self._net}.0/24"}]],
            },
        }
        (self._folder / "network").mkdir()
        listed = {"cniVersion": "0.4.0", "name": self._bridge, "plugins": [plugin]}
        self._written("network/pods.conflist", json.dumps(listed))

    def _disconnect(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._ip("link", "delete", self._bridge)

    def _ip(self, *words: str) -> None:
        subprocess.run([self._binaries["ip"], *words], check=True, capture_output=True)

    def _containerd(self) -> str:
        return _CONTAINERD.format(folder=self._folder, socket=self._socket, pause=PAUSE, plugins=PLUGINS)

    def _start_kubelet(self) -> None:
        for controller in self._controllers():
            (controller / self._cgroup).mkdir(exist_ok=True)
        cpuset = CGROUPS / "cpuset"
        for part in ("cpuset.cpus", "cpuset.mems"):
            if (cpuset / part).exists():
                (cpuset / self._cgroup / part).write_text((cpuset / part).read_text())
        flags = {
            "config": self._written("kubelet.json", json.dumps(self._settings())),
            "kubeconfig": str(self._plane.admin_kubeconfig),
            "root-dir": f"{self._folder}/kubelet",
            "cert-dir": f"{self._folder}/kubelet-certificates",
            "container-runtime": "remote",
            "container-runtime-endpoint": f"unix://{self._socket}",
            "pod-infra-container-image": PAUSE,
            "hostname-override": self.name,
            "node-ip": self.address,
        }
        self._run("kubelet", *(f"--{flag}={value}" for flag, value in flags.items()), log=self.kubelet_log)

    def _settings(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": 10250,
            "healthzPort": 0,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "resolvConf": "/dev/null",
            "makeIPTablesUtilChains": False,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "nodeStatusUpdateFrequency": "2s",
            "volumePluginDir": f"{self._folder}/plugins",
        }

    def _is_ready(self) -> bool:
        for process in self._running:
            assert process.is_running, process.last_words
        node = self._plane.api("").find("nodes", self.name)
        conditions = node["status"].get("conditions", []) if node else []
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _written(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text)
        return str(path)

    # ---- what it leaves

    def _shims(self) -> list[int]:
        return [pid for pid, words in command_lines() if str(self._socket) in words and "containerd-shim" in words]

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[1].startswith(f"{self._folder}/")]

    def _controllers(self) -> list[Path]:
        found = {path.resolve() for path in CGROUPS.iterdir() if path.is_dir()}
        return sorted(found)

    def _has_no_cgroups(self) -> bool:
        for controller in self._controllers():
            top = controller / self._cgroup
            for folder in sorted(top.rglob("*/"), reverse=True) if top.exists() else []:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()
        return not any((controller / self._cgroup).exists() for controller in self._controllers())


def logs_of_pods() -> set[Path]:
    """Return the folders of the Pods' logs: the kubelet has no setting for where they are."""
    return set(LOGS.glob("*"))


def command_lines() -> list[tuple[int, str]]:
    """Return the process id and the command line of everything that runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append((int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def end_family(pid: int) -> None:
    """Kill a process, and first its children."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            end_family(int(child))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def pause_image(busybox: str) -> bytes:
    """Return the archive of an image that only waits: what holds a Pod's network."""
    layer = tarred({"busybox": Path(busybox).read_bytes()})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/busybox", "sleep", "2147483647"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
    }
    listed = [{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(listed).encode(),
    }
    return tarred(files)


def tarred(files: dict[str, bytes]) -> bytes:
    """Return a tar of these files, all of them executable."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()
