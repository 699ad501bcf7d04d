"""What settings may name is what the tables hold; agents and drivers are declared in model/, which cannot see theirs."""

from toque.agents import AGENTS
from toque.config.shape import SERVICE, Entry
from toque.drivers import DRIVERS
from toque.model.ticket import ServiceClass


def _choices(*path: str) -> set[str]:
    entry = SERVICE.at(path)
    assert isinstance(entry, Entry)
    return set(entry.about.choices)


def test_settings_name_every_agent_and_class_and_no_other() -> None:
    assert _choices("models", "any", "agent") == set(AGENTS)
    assert _choices("keys", "any", "service_class") == set(ServiceClass)


def test_settings_name_drivers_that_start_replicas() -> None:
    assert _choices("driver") == set(DRIVERS) - {"static", "given"}, "those start nothing"
