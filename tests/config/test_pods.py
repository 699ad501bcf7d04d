"""Pods in the settings: what is read, and what no cluster would take."""

from pathlib import Path

import pytest

from toque.config.read import read_config
from toque.config.show import as_toml, shown
from toque.model.errors import ConfigError
from toque.model.placement import Toleration, read_toleration
from toque.model.pod_spec import NO_POD, KubernetesSpec, PodSpec
from toque.model.service_spec import ServiceSpec

CLUSTER = """\
driver = "kubernetes"
[kubernetes]
namespace = "models"
keep = true
[models.chat]
agent = "fake"
[models.chat.pod]
image = "registry.example/chat@sha256:0123"
limits = { memory = "4Gi", "nvidia.com/gpu" = 1 }
tolerations = ["gpu=yes:NoSchedule", "spot"]
requests = { cpu = "500m", memory = "2Gi" }
spread = ["topology.kubernetes.io/zone"]
weights = "claim:weights"
"""


def read(folder: Path, text: str) -> ServiceSpec:
    file = folder / "toque.toml"
    file.write_text(text)
    return read_config(file, {}, {})


def test_a_whole_example_is_read_and_shown_as_it_was_written(tmp_path: Path) -> None:
    spec = read(tmp_path, CLUSTER)
    (chat,) = spec.models
    assert spec.kubernetes == KubernetesSpec("models", keep=True)
    assert chat.pod.limits == {"memory": "4Gi", "nvidia.com/gpu": 1}
    assert [read_toleration(text) for text in chat.pod.tolerations] == [
        Toleration("gpu", "yes", "NoSchedule"),
        Toleration("spot", "", ""),
    ]
    again = "".join(f"{as_toml(one, spec)}\n" for one in shown(spec) if one.origin != "default")
    (same,) = read(tmp_path, again).models
    assert same.pod == chat.pod


def test_who_says_nothing_has_no_pods(tmp_path: Path) -> None:
    (chat,) = read(tmp_path, '[models.chat]\nagent = "fake"').models
    assert chat.pod == NO_POD == PodSpec()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "models.chat.pod must name an image"),
        ('pod = { image = "two words" }', "no image's name"),
        ('pod = { image = "a", requests = { cpu = "much" } }', "requests of cpu: 'much' is no amount"),
        ('pod = { image = "a", limits = { memory = true } }', "limits of memory: True is no amount"),
        ('pod = { image = "a", tolerations = ["gpu:Never"] }', "'Never' is no effect of a taint"),
        ('pod = { image = "a", tolerations = ["=x"] }', "'=x' is no taint"),
        ('pod = { image = "a", port = 80 }', "port"),
        ('pod = { image = "a", requests = { cpu = 2 }, limits = { cpu = "1500m" } }', "requests of cpu are above"),
        ('pod = { image = "a", requests = { memory = "1Gi" }, limits = { memory = "1G" } }', "of memory are above"),
        ('pod = { image = "a", requests = { "nvidia.com/gpu" = 1 } }', "a device is not shared"),
        ('pod = { image = "a", node_required = ["gpu is h200"] }', "'gpu is h200' says nothing of a label"),
        ('pod = { image = "a", node_preferred = ["cores>many"] }', "compares with what is no whole number"),
        ('pod = { image = "a", spread = ["zone=0"] }', "'zone=0' is no label to spread over"),
        ('pod = { image = "a", weights = "claim:" }', "no place of a model's file"),
    ],
)
def test_what_no_cluster_would_take_is_refused_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        read(tmp_path, f'driver = "kubernetes"\n[models.chat]\nagent = "fake"\n{text}\n')
    assert "toque.toml" in caught.value.where


def test_what_runs_elsewhere_has_no_pods_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not ours to run as Pods"):
        read(tmp_path, '[models.a]\nagent = "openai"\nurl = "http://127.0.0.1:9/v1"\npod = { image = "a" }\n')
