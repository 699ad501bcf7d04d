"""The roll of ModelPools: who is there, what each says, and what of it holds."""

from typing import Any

from toque.config.pools import read_controller
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.operator.roll import Roll


def pool(name: str = "chat", generation: int = 1, uid: str = "u1", **more: Any) -> dict[str, Any]:
    about = {"name": name, "uid": uid, "generation": generation}
    if more.pop("is_leaving", False):
        about["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = more.pop("status", {})
    spec = {"agent": "fake", "slots": 4, "pod": {"image": "chat:1"}, **more}
    return {"metadata": about, "spec": spec, "status": status}


def no_engine(model: ModelSpec) -> None:
    if model.agent.agent == "nobody:Knows":
        raise ConfigError("There is no agent nobody:Knows.", fix="Install it.")


def roll() -> Roll:
    return Roll(read_controller(None, {}, {}), no_engine)


def served(made: Roll) -> dict[str, int]:
    return {model.pool.name: model.pool.slots for model in made.agree().models}


def test_an_object_is_news_once_and_its_status_is_none() -> None:
    made = roll()
    assert made.see(pool())
    assert not made.see(pool(status={"ready": 1}))
    assert made.see(pool(generation=2, slots=8))
    assert not made.see(pool(generation=1))
    assert served(made) == {"chat": 8}


def test_what_cannot_be_read_keeps_what_was_good_last_and_says_why() -> None:
    made = roll()
    made.see(pool())
    assert served(made) == {"chat": 4}
    made.see(pool(generation=2, slots="many"))
    assert served(made) == {"chat": 4}
    assert made.entries["chat"].complaint.startswith("spec.slots: spec.slots must be a whole number")
    made.see(pool(generation=3, slots=2))
    assert served(made) == {"chat": 2}
    assert made.entries["chat"].complaint == ""


def test_a_model_that_nobody_here_could_serve_is_told_too() -> None:
    made = roll()
    made.see(pool(agent="nobody:Knows"))
    assert served(made) == {}
    assert made.entries["chat"].complaint == "There is no agent nobody:Knows. Install it."


def test_a_pool_that_leaves_is_served_no_more_and_struck_in_the_end() -> None:
    made = roll()
    made.see(pool())
    assert made.see(pool(is_leaving=True))
    assert not made.leave("chat")
    assert served(made) == {}
    made.strike("chat")
    assert made.entries == {}
    assert not made.leave("chat")


def test_a_roll_call_finds_out_who_is_gone() -> None:
    made = roll()
    made.call([pool("a"), pool("b")])
    assert served(made) == {"a": 4, "b": 4}
    assert not made.call([pool("a"), pool("b")])
    assert made.call([pool("b")])
    assert served(made) == {"b": 4}


def test_one_of_the_same_name_that_came_again_is_another() -> None:
    made = roll()
    made.see(pool(generation=5, status={"desired": 3}))
    assert made.entries["chat"].desired == 3
    assert made.see(pool(uid="u2"))
    assert made.entries["chat"].uid == "u2"
    assert made.entries["chat"].desired == 0
    assert served(made) == {"chat": 4}
