"""The words are values: slotted, comparable, unchangeable or treated so, and every setting says what it is."""

import importlib
import pkgutil
from dataclasses import fields, is_dataclass
from types import ModuleType

import pytest

import toque.model
from toque.model.agent_spec import AgentSpec, Secret
from toque.model.messages import Arrived, Effect, Event, Finished
from toque.model.resources import Resources, mebibytes
from toque.model.service_spec import LimitSpec, RecordSpec, ServiceSpec
from toque.model.setting import Setting
from toque.model.spec import (
    ColdStart,
    PoolSpec,
    QueueSpec,
    ReplicaBounds,
    RestartSpec,
    RetrySpec,
    ScalingSpec,
)
from toque.model.ticket import RefusalReason, ServiceClass, Ticket

SPECS = (QueueSpec, ReplicaBounds, ScalingSpec, RestartSpec, RetrySpec, AgentSpec, LimitSpec, RecordSpec, ServiceSpec)


def modules() -> list[ModuleType]:
    return [
        importlib.import_module(f"toque.model.{found.name}") for found in pkgutil.iter_modules(toque.model.__path__)
    ]


def words() -> list[type]:
    """Every dataclass of the model."""
    return [
        thing
        for module in modules()
        for thing in vars(module).values()
        if isinstance(thing, type) and is_dataclass(thing) and thing.__module__ == module.__name__
    ]


def test_every_word_is_a_slotted_value() -> None:
    assert len(words()) > 30
    for word in words():
        assert "__slots__" in vars(word), f"{word.__name__} has a dict"
        assert word.__eq__ is not object.__eq__, f"{word.__name__} compares by identity"


def test_all_but_what_the_hot_path_makes_is_frozen_at_run_time() -> None:
    loose = {word.__module__ for word in words() if not word.__dataclass_params__.frozen}
    assert loose == {"toque.model.cluster", "toque.model.messages", "toque.model.ticket"}


def test_every_message_is_an_event_or_an_effect() -> None:
    for message in (*Event.__args__, *Effect.__args__):
        assert message.__module__ in {"toque.model.cluster", "toque.model.messages"}
    assert not set(Event.__args__) & set(Effect.__args__)


def test_messages_compare_by_value() -> None:
    assert Finished(1, 0.5) == Finished(1, 0.5) != Finished(2, 0.5)
    assert Arrived(Ticket(1, "chat", 9.0)) == Arrived(Ticket(1, "chat", 9.0, ServiceClass.INTERACTIVE))


@pytest.mark.parametrize("spec", SPECS)
def test_a_default_keeps_to_its_own_bounds(spec: type) -> None:
    told = 0
    for field in fields(spec):
        about = field.metadata.get("setting")
        if about is None:
            continue
        assert isinstance(about, Setting)
        assert about.why.endswith((".", ")")), f"{field.name}: {about.why}"
        if about.minimum is not None:
            assert field.default >= about.minimum
        if about.above is not None:
            assert field.default > about.above
        if about.maximum is not None:
            assert field.default <= about.maximum
        told += 1
    assert told


@pytest.mark.parametrize("spec", SPECS)
def test_a_unit_is_in_the_name_and_in_the_setting(spec: type) -> None:
    for field in fields(spec):
        about = field.metadata.get("setting")
        if about is not None and about.unit != "path":
            assert about.unit == _unit(field.name), f"{spec.__name__}.{field.name} is told in {about.unit!r}"


def _unit(name: str) -> str:
    """The unit at the end of a name, before a qualifier (`wait_s_max`)."""
    last = name.removesuffix("_max").removesuffix("_min").rpartition("_")[2]
    return last if last in {"s", "bytes", "tokens"} else ""


def test_a_pool_needs_nothing_but_a_name() -> None:
    spec = PoolSpec("chat")
    assert (spec.slots, spec.replicas.minimum_warm, spec.replicas.maximum, spec.elastic) == (1, 1, 1, True)


def test_a_cold_start_is_the_sum_of_its_phases() -> None:
    assert ColdStart(0.5, 8.0, 1.5).total_s == 10.0


def test_a_refusal_reason_is_the_code_a_client_reads() -> None:
    assert {reason.value for reason in RefusalReason} >= {"queue_full", "queue_timeout", "model_loading", "draining"}


# ---- resources -------------------------------------------------------------------------------------------------------


def test_resources_add_up_and_never_fall_below_zero() -> None:
    small, large = Resources(1, 0.5, 3), Resources(10, 2.0, 4)
    assert small.plus(large) == Resources(11, 2.5, 7)
    assert large.minus(small) == Resources(9, 1.5, 1)
    assert small.minus(large) == Resources()


def test_a_shortage_names_everything_that_is_missing() -> None:
    wanted = Resources(3 * 2**30, 4.0, 2**30)
    assert wanted.shortage(Resources(2**30, 2.5, 0)) == (
        "needs 3072 MiB of memory, 1024 MiB left; needs 4 cores, 2.5 left; needs 1024 MiB of GPU memory, 0 MiB left"
    )
    assert wanted.shortage(wanted) == ""


def test_what_adds_up_to_the_last_core_fits() -> None:
    used = Resources(cores=0.1).plus(Resources(cores=0.2))
    assert Resources(cores=0.7).shortage(Resources(cores=1.0).minus(used)) == ""


def test_amounts_are_written_in_mebibytes() -> None:
    assert mebibytes(93 * 2**20) == "93 MiB"


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_s11_a_secret_never_prints() -> None:
    secret = Secret("sk-CANARY")
    assert "CANARY" not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert secret.reveal() == "sk-CANARY"
