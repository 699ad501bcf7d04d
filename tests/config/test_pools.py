"""ModelPools by the rules of toque.toml: what each says alone, what they say together, and in whose words they are told."""

from pathlib import Path

import pytest

from toque.config.pools import agree, read_controller, read_pool
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

BASE = read_controller(None, {}, {})
SPEC = {"source": "/models/chat.gguf", "slots": 4, "pod": {"image": "registry.example/chat:1"}}


def model(name: str, **spec: object) -> ModelSpec:
    return read_pool(name, {**SPEC, **spec})


def read(folder: Path, text: str) -> ServiceSpec:
    file = folder / "toque.toml"
    file.write_text(text)
    return read_controller(file, {}, {})


# ---- the controller's own settings -----------------------------------------------------------------------------------


def test_a_controller_has_no_models_its_replicas_are_pods_and_they_outlive_it() -> None:
    assert BASE.models == ()
    assert BASE.driver == "kubernetes"
    assert BASE.kubernetes.keep


def test_a_controller_may_have_the_file_of_its_gateways(tmp_path: Path) -> None:
    text = (
        'listen = "0.0.0.0:8080"\nkeys_file = "keys.toml"\n[keys.a]\n'
        f'sha256 = "{"0" * 64}"\nmodels = ["chat"]\n[kubernetes]\nnamespace = "models"\n'
        '[cluster]\ncontrollers = ["toque-controller:7070"]\ntoken = "env:T"\n'
    )
    spec = read(tmp_path, text)  # where they listen is nothing to it, and neither is who may come in
    assert spec.kubernetes.namespace == "models"
    assert spec.keys == ()


def test_models_in_its_file_are_refused_for_they_come_from_model_pools(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no models of its own") as told:
        read(tmp_path, '[models.chat]\nsource = "./chat.gguf"\n')
    assert told.value.where.endswith("toque.toml:1:1")


@pytest.mark.parametrize("times", ["renew_s = 8", "renew_s_max = 10", "lease_s = 7"])
def test_the_times_of_a_lease_must_leave_room_for_each_other(tmp_path: Path, times: str) -> None:
    with pytest.raises(ConfigError, match="must grow in this order"):
        read(tmp_path, f"[cluster]\n{times}\n")


# ---- one pool --------------------------------------------------------------------------------------------------------


def test_a_pool_is_the_model_that_its_table_would_be() -> None:
    made = model("chat", replicas={"minimumWarm": 2, "target": 0}, scaling={"stableWindowS": 30}, options={"my_own": 1})
    assert made.pool.name == "chat"
    assert made.pool.replicas.minimum_warm == 2
    assert made.pool.scaling.stable_window_s == 30
    assert made.agent.options == {"my_own": 1}
    assert made.runs_in_pod


@pytest.mark.parametrize(
    ("spec", "where", "message"),
    [
        ({"slotz": 4}, "spec.slotz", "Unknown key 'slotz' in spec."),
        ({"slots": "four"}, "spec.slots", "spec.slots must be a whole number, not 'four'."),
        (
            {"replicas": {"minimumWarm": -1}},
            "spec.replicas.minimumWarm",
            "spec.replicas.minimumWarm must be at least 0",
        ),
    ],
)
def test_what_is_wrong_with_one_setting_is_told_in_the_words_of_the_object(
    spec: object, where: str, message: str
) -> None:
    assert isinstance(spec, dict)
    with pytest.raises(ConfigError) as told:
        model("chat", **spec)
    assert told.value.where == where
    assert told.value.message.startswith(message)


# ---- all together ----------------------------------------------------------------------------------------------------


def test_pools_that_hold_together_are_all_served_in_one_order() -> None:
    agreement = agree(BASE, {"b": [model("b")], "a": [model("a")]})
    assert [each.pool.name for each in agreement.models] == ["a", "b"]
    assert agreement.complaints == {}


def test_a_pool_that_contradicts_itself_goes_by_what_was_good_last_and_others_notice_nothing() -> None:
    good, bad = model("a", slots=2), model("a", replicas={"minimumWarm": 3, "maximum": 2})
    agreement = agree(BASE, {"a": [bad, good], "b": [model("b")]})
    assert agreement.models == (good, model("b"))
    assert agreement.complaints == {
        "a": "spec.replicas.minimumWarm: minimumWarm 3 is above maximum 2. Write maximum = 3, or a lower minimumWarm."
    }


def test_a_pool_that_was_never_good_is_left_out() -> None:
    agreement = agree(BASE, {"a": [model("a", replicas={"minimumWarm": 3, "maximum": 2})], "b": [model("b")]})
    assert agreement.models == (model("b"),)
    assert "minimumWarm 3" in agreement.complaints["a"]


def test_a_pool_whose_fallback_was_deleted_is_served_without_it_and_says_so() -> None:
    wanted = model("a", fallback={"to": ["b"]})
    assert agree(BASE, {"a": [wanted], "b": [model("b")]}).models == (wanted, model("b"))
    agreement = agree(BASE, {"a": [wanted, wanted]})
    assert agreement.models == (model("a"),)
    assert "spec.fallback.to" in agreement.complaints["a"]


def test_a_pool_whose_canary_was_deleted_is_served_without_it_and_says_so() -> None:
    wanted = model("a", canary={"model": "b"})
    agreement = agree(BASE, {"a": [wanted, wanted]})
    assert agreement.models == (model("a"),)
    assert agreement.complaints["a"].startswith("spec.canary.model: ")


def test_what_is_wrong_with_the_base_is_nobodys_fault() -> None:
    broken = BASE.__class__(
        **{**{name: getattr(BASE, name) for name in BASE.__dataclass_fields__}, "listen": "nowhere"}
    )
    with pytest.raises(ConfigError, match="nowhere"):
        agree(broken, {"a": [model("a")]})
