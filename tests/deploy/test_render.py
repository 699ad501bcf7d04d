"""`toque deploy render`: manifests that any cluster takes, from the settings alone, the same every time."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.screen import Screen
from tests.deploy.releases import CHAT, FULL, IMAGE, RELEASES, by_name, check, read, release, rendered
from tests.house.source import ROOT
from toque.config.camel import to_camel
from toque.config.crd import modelpool_crd
from toque.config.pools import read_controller
from toque.config.read import read_config, read_settings
from toque.deploy.everything import manifests
from toque.deploy.text import document
from toque.deploy.values import release_of, said_values
from toque.deploy.words import whole
from toque.kube.rights import GATEWAY
from toque.model.errors import ConfigError

SETTINGS = """\
driver = "kubernetes"
drain_s_max = 20
[kubernetes]
namespace = "models"
[keys.ann]
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
models = ["chat"]
[models.chat]
source = "./weights/chat.gguf"
slots = 4
replicas = { minimum_warm = 1 }
options = { my_own = 1 }
pod = { image = "registry.example/chat:1", limits = { "nvidia.com/gpu" = 1 } }
[deploy]
image = "registry.example/toque:1"
[deploy.gateway]
pods = 3
memory_max = "2Gi"
"""


def printed(folder: Path, *words: str, settings: str = SETTINGS, **environment: str) -> str:
    file = folder / "toque.toml"
    file.write_text(settings)
    screen = Screen(environment)
    assert screen.run("deploy", *words, "--config", str(file)) == 0, screen.said
    return screen.shown


def container(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (made,) = by_name(objects)["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return dict(made)


@pytest.mark.parametrize("values", RELEASES.values(), ids=RELEASES)
def test_every_object_is_valid_and_every_pod_restricted(values: dict[str, Any]) -> None:
    check(rendered(release(values)))


def test_a_deployment_is_what_the_settings_say() -> None:
    names = set(by_name(rendered(release({"image": IMAGE, "models": {"chat": CHAT}}))))
    assert names == {
        ("PriorityClass", "toque-interactive"),
        ("PriorityClass", "toque-batch"),
        ("ConfigMap", "toque-settings"),
        ("NetworkPolicy", "toque-replica"),
        ("NetworkPolicy", "toque-gateway"),
        ("NetworkPolicy", "toque-controller"),
        ("ServiceAccount", "toque-controller"),
        ("Role", "toque-controller"),
        ("RoleBinding", "toque-controller"),
        ("Service", "toque-controller"),
        ("Deployment", "toque-controller"),
        ("PodDisruptionBudget", "toque-controller"),
        ("ServiceAccount", "toque-gateway"),
        ("Service", "toque-gateway"),
        ("Service", "toque-metrics"),
        ("Deployment", "toque-gateway"),
        ("PodDisruptionBudget", "toque-gateway"),
        ("ModelPool", "chat"),
    }


def test_gateways_have_no_rights_and_controllers_no_more_than_they_need() -> None:
    made = by_name(rendered(release({"image": IMAGE})))
    assert ("Role", "toque-gateway") not in made
    gateway = made["Deployment", "toque-gateway"]["spec"]["template"]["spec"]
    assert gateway["automountServiceAccountToken"] is False
    rules = made["Role", "toque-controller"]["rules"]
    assert all("*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    single = by_name(rendered(release({"image": IMAGE, "layout": "single"})))
    assert single["Role", "toque-gateway"]["rules"] == list(GATEWAY)
    assert single["Deployment", "toque-gateway"]["spec"]["strategy"] == {"type": "Recreate"}
    assert not [name for name in single if name[1] == "toque-controller"]


def test_the_guide_gives_the_rights_that_the_code_asks_for() -> None:
    guide = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    role = re.search(r"```yaml\n(apiVersion: rbac.*?)```", guide, re.DOTALL)
    assert role is not None
    assert yaml.safe_load(role[1])["rules"] == list(GATEWAY)


def test_replicas_are_reached_by_their_own_gateways_and_controllers_and_reach_nobody() -> None:
    policy = by_name(rendered(release({"image": IMAGE})))["NetworkPolicy", "toque-replica"]["spec"]
    (door,) = policy["ingress"]
    (who,) = door["from"]
    assert who["podSelector"]["matchLabels"] == {"toque.dev/fleet": "toque"}
    assert who["podSelector"]["matchExpressions"][0]["values"] == ["gateway", "controller"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    open_ones = by_name(rendered(release(FULL)))["NetworkPolicy", "toque-replica"]["spec"]["egress"]
    assert open_ones == [
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}, {"ipBlock": {"cidr": "192.0.2.7/32"}}]},
    ]


@pytest.mark.parametrize("layout", ["fleet", "single"])
def test_what_processes_are_told_is_what_they_can_read(tmp_path: Path, layout: str) -> None:
    settings = SETTINGS.replace("[deploy]", f'[deploy]\nlayout = "{layout}"')
    objects = read(printed(tmp_path, "render", "--only", "objects", settings=settings))
    text = by_name(objects)["ConfigMap", "toque-settings"]["data"]["toque.toml"]
    env = {one["name"]: one.get("value", "from-the-pod") for one in container(objects, "toque-gateway")["env"]}
    spec = read_settings("toque.toml", text, env)
    assert (spec.listen, spec.metrics_listen, spec.drain_s_max) == ("0.0.0.0:8080", "0.0.0.0:9090", 20)
    assert [key.name for key in spec.keys] == ["ann"]
    if layout == "fleet":
        assert spec.models == ()
        assert (spec.cluster.controllers, spec.cluster.name) == (("toque-controller:7070",), "from-the-pod")
    else:
        (chat,) = spec.models
        assert (chat.agent.source, chat.runs_in_pod) == ("/models/chat.gguf", True)
        assert (spec.kubernetes.fleet, spec.kubernetes.keep) == ("toque", True)


def test_what_a_controller_is_told_it_can_read_in_any_image(tmp_path: Path) -> None:
    objects = read(printed(tmp_path, "render", "--only", "objects"))
    file = tmp_path / "settings.toml"
    file.write_text(by_name(objects)["ConfigMap", "toque-settings"]["data"]["toque.toml"])
    env = {one["name"]: one["value"] for one in container(objects, "toque-controller")["env"]}
    image = {"TOQUE_LISTEN": "0.0.0.0:8080"}  # as toque's own image says it, for the door that a controller has not
    spec = read_controller(file, image | env, {})
    assert (spec.metrics_listen, spec.cluster.listen) == ("0.0.0.0:9090", "0.0.0.0:7070")
    assert (spec.kubernetes.fleet, spec.kubernetes.keep) == ("toque", True)


def test_a_model_of_the_settings_is_a_model_pool(tmp_path: Path) -> None:
    pool = by_name(read(printed(tmp_path, "render")))["ModelPool", "chat"]
    table = {
        "source": "/models/chat.gguf",
        "slots": 4,
        "replicas": {"minimum_warm": 1},
        "options": {"my_own": 1},
        "pod": {"image": "registry.example/chat:1", "limits": {"nvidia.com/gpu": 1}},
    }
    assert pool["spec"] == to_camel(table)


def test_the_same_settings_give_the_same_bytes_and_nothing_of_the_machine(tmp_path: Path) -> None:
    first = printed(tmp_path, "render")
    assert printed(tmp_path, "render", TOQUE_LISTEN="127.0.0.1:1", PASSING="a-yellow-bird") == first
    assert str(tmp_path) not in first
    assert "a-yellow-bird" not in first
    objects = read(first)
    assert objects[0] == modelpool_crd()
    assert container(objects, "toque-gateway")["resources"]["limits"] == {"memory": "2Gi"}
    text = by_name(objects)["ConfigMap", "toque-settings"]["data"]["toque.toml"]
    note = by_name(objects)["Deployment", "toque-gateway"]["spec"]["template"]["metadata"]["annotations"]
    assert note == {"toque.dev/settings": hashlib.sha256(text.encode()).hexdigest()}


def test_flags_go_first_and_parts_are_printed_alone(tmp_path: Path) -> None:
    assert read(printed(tmp_path, "render", "--only", "definition")) == [modelpool_crd()]
    words = ("render", "--only", "objects", "--image", "other:2", "--gateways", "5", "--namespace", "else")
    objects = read(printed(tmp_path, *words, "--create-namespace"))
    assert objects[0]["kind"] == "Namespace"
    assert objects[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert container(objects, "toque-gateway")["image"] == "other:2"
    assert by_name(objects)["Deployment", "toque-gateway"]["spec"]["replicas"] == 5
    assert {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]} == {"else"}


def test_without_settings_it_is_a_fleet_without_models(tmp_path: Path) -> None:
    objects = read(printed(tmp_path, "render", "--image", "toque:1", settings=""))
    assert not [each for each in objects if each["kind"] == "ModelPool"]
    assert container(objects, "toque-gateway")["image"] == "toque:1"


def test_an_older_kubernetes_is_told_in_its_own_words(tmp_path: Path) -> None:
    made = by_name(read(printed(tmp_path, "render", "--only", "objects", "--kubernetes", "1.20")))
    assert made["PodDisruptionBudget", "toque-gateway"]["apiVersion"] == "policy/v1beta1"
    assert "lifecycle" not in container(list(made.values()), "toque-gateway")
    later = by_name(read(printed(tmp_path, "render", "--only", "objects", "--kubernetes", "1.29")))
    assert later["PodDisruptionBudget", "toque-gateway"]["apiVersion"] == "policy/v1"
    assert "lifecycle" not in container(list(later.values()), "toque-gateway")
    now = read(printed(tmp_path, "render", "--only", "objects"))
    assert container(now, "toque-gateway")["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "x-kubernetes-validations" not in printed(
        tmp_path, "render", "--only", "definition", "--kubernetes", "v1.24.3"
    )


def test_files_in_a_folder_say_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told = printed(tmp_path, "render", "--to", str(folder))
    assert told.splitlines()[0] == str(folder / "definition.yaml")
    assert not (folder / "monitoring.yaml").exists()  # nothing would be in it
    written = [each for name in told.splitlines() for each in read(Path(name).read_text())]
    assert written == read(printed(tmp_path, "render"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "There is no image of toque to deploy"),
        ('deploy.image = "a"\nkubernetes.fleet = "Big Fleet"', "cannot give its name"),
        ('deploy.image = "a"\n[models."Qwen:7B"]\nagent = "fake"\npod = { image = "a" }', "cannot be the name of a"),
        ('deploy.image = "a"\n[models.gpt]\nagent = "openai"\nurl = "https://api.example/v1"', "needs an image"),
        ('deploy.image = "a"\ndeploy.layout = "single"\n#[models', "there is none"),
        ('deploy.gateway.cpu = "much"', "cpu 'much' is no amount"),
        ('deploy.gateway.memory = "2Gi"', "memory is above memory_max"),
        ("deploy.gateway.pods_max = 1", "pods_max 1 is below pods 2"),
        ('deploy.controller.tolerations = ["=x"]', "'=x' is no taint"),
        ('deploy.network_policy.cidrs = ["everywhere"]', "'everywhere' is no network"),
    ],
)
def test_what_cannot_be_deployed_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "toque.toml"
    file.write_text(text if "[models" in text else f'{text}\n[models.chat]\nagent = "fake"\npod.image = "a"\n')
    with pytest.raises(ConfigError, match=complaint):
        release_of(read_config(file, {}, {}))


def test_values_for_helm_are_what_was_said(tmp_path: Path) -> None:
    (values,) = read(printed(tmp_path, "values"))
    assert values["gateway"] == {"pods": 3, "memoryMax": "2Gi"}
    assert list(values["models"]) == ["chat"]
    file = tmp_path / "toque.toml"
    assert values == said_values(read_config(file, {}, {}))


# ---- how they are written --------------------------------------------------------------------------------------------

_texts = st.one_of(
    st.text(), st.sampled_from(("yes", "null", "1e3", "0x1", "a: b", "- a", "a\nb\n", " a\nb\n", "a\n\n", "=", "~"))
)
_leaves = st.one_of(_texts, st.integers(), st.booleans())
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_texts, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(_texts, _trees, min_size=1, max_size=4))
def test_what_is_written_is_read_as_it_was(made: dict[str, object]) -> None:
    assert read(document(whole(made))) == [made]


def test_manifests_are_written_whole() -> None:
    for values in RELEASES.values():
        objects = [each for part in manifests(release(values)).values() for each in part]
        assert read("".join(document(whole(each)) for each in objects)) == objects
