"""What settings may name is what the tables hold: the choices are declared in model/, which cannot see the tables."""

from toque.agents import AGENTS
from toque.config.shape import SERVICE, Entry
from toque.core.routing import ROUTERS
from toque.core.scaling import POLICIES
from toque.drivers import DRIVERS
from toque.model.ticket import ServiceClass


def _choices(*path: str) -> set[str]:
    entry = SERVICE.at(path)
    assert isinstance(entry, Entry)
    return set(entry.about.choices)


def test_settings_name_every_agent_policy_router_and_class_and_no_other() -> None:
    assert _choices("models", "any", "agent") == set(AGENTS)
    assert _choices("models", "any", "scaling", "policy") == set(POLICIES)
    assert _choices("models", "any", "routing") == set(ROUTERS)
    assert _choices("keys", "any", "service_class") == set(ServiceClass)


def test_settings_name_drivers_that_start_replicas() -> None:
    assert _choices("driver") == set(DRIVERS) - {"static"}
