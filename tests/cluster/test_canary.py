"""Another image is tried with a share of the requests, and no client notices when it is a bad one."""

from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.served import asked_by, change, served, settings
from tests.service import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CANARY = """
[models.chat.canary]
model = "chat-next"
share = 0.25
failures_max = 2
[models.chat-next]
agent = "fake"
slots = 4
options = {{ {options} }}
pod = {{ image = "registry.test/toque:2" }}
"""


def trial(service: Service) -> str:
    return str(service.pool()["trial"])


def test_a_new_image_gets_its_share_and_a_bad_one_loses_it_without_an_error(tmp_path: Path, place: Place) -> None:
    usual = settings(place)
    good = usual + CANARY.format(options="tokens = 5")
    bad = usual + CANARY.format(options="fail_ratio = 0.5, tokens = 5")
    with served(tmp_path, usual) as service, asked_by(service, 3) as load:
        change(tmp_path, service, good)
        service.ready(name="chat-next")
        load.served(100)
        assert trial(service).startswith("chat-next is tried with 25% of the requests: ")
        images = {pod["spec"]["containers"][0]["image"] for pod in place.api.list("pods")}
        assert images == {"registry.test/toque:1", "registry.test/toque:2"}
        assert {service.ask()[1].get("x-toque-fallback") for _ in range(8)} == {None, "chat-next"}
        change(tmp_path, service, bad)
        until(lambda: trial(service).startswith("the trial of chat-next is over"))
        assert {service.ask()[1].get("x-toque-fallback") for _ in range(8)} == {None}
        load.stop()
        assert load.is_flawless, load.bodies
