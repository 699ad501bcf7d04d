"""Several controllers of one namespace: one leads, another takes over, and no pool shrinks because of it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.cluster.controlled import Controlled, controlled, leads, pool
from tests.cluster.place import Cluster, Place, namespace
from tests.cluster.served import names, pods
from tests.service import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture
def here(place: Place, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(place, tmp_path) as made:
        yield made


class Census:
    """Looks all the time how few Pods there are, and how few are ready."""

    def __init__(self, here: Controlled) -> None:
        self._here = here
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._count)
        self.seen: set[str] = set()
        self.least = 10**6

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _count(self) -> None:
        while not self._is_over.wait(0.1):
            found = pods(self._here.place, is_ready=True)
            self.seen |= names(found)
            self.least = min(self.least, len(found))


@contextmanager
def elected(here: Controlled) -> Iterator[tuple[Service, Service]]:
    """Two controllers: the one that leads, and the one that stands ready."""
    with here.controller("a") as first, here.controller("b") as second:
        until(lambda: leads(first) or leads(second))
        yield (first, second) if leads(first) else (second, first)


def ready_replicas(controller: Service) -> int:
    """How many replicas a controller has that are ready."""
    return len([row for row in controller.replicas() if row["replica"]["state"] == "ready"])


def test_when_the_leader_is_killed_another_leads_within_15_seconds_and_no_pod_is_touched(here: Controlled) -> None:
    with elected(here) as (leader, other):
        here.apply(pool(warm=1, maximum=6))
        here.apply(pool("cold", warm=0))
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)
        before = names(pods(here.place))
        with Census(here) as census:
            leader.process.kill()
            killed_at = time.monotonic()
            until(lambda: leads(other), 20)
            took_s = time.monotonic() - killed_at
            until(lambda: ready_replicas(other) == 3)
        print(f"took over after {took_s:.1f} s")
        assert took_s < 15
        assert census.seen == before
        assert census.least == 3
        here.kubectl("scale", "mp", "chat", "--replicas=4")
        here.ready(4)
        assert before < names(pods(here.place))


def test_a_pool_that_grew_by_load_keeps_its_replicas_when_the_leader_is_killed(here: Controlled) -> None:
    """Nobody knows the load yet who takes over: it begins with as many as there are."""
    with elected(here) as (leader, other):
        here.apply(pool(warm=1, maximum=6))
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)
        leader.process.send_signal(signal.SIGSTOP)
        here.kubectl("scale", "mp", "chat", "--replicas=0")
        leader.process.kill()
        with Census(here) as census:
            until(lambda: leads(other), 20)
            until(lambda: here.status().get("observedGeneration") == 3)
            assert here.status()["desired"] == 3
        assert census.least == 3


def test_a_leader_that_ends_in_order_is_followed_at_once_and_leaves_its_pods(here: Controlled) -> None:
    with elected(here) as (leader, other):
        here.apply(pool(warm=2))
        here.ready(2)
        with Census(here) as census:
            told_at = time.monotonic()
            assert leader.stop() == 0
            until(lambda: leads(other))
            took_s = time.monotonic() - told_at
            print(f"followed after {took_s:.1f} s")
            assert took_s < 8
            until(lambda: ready_replicas(other) == 2)
        assert census.least == 2


def test_who_has_slept_through_its_time_decides_nothing_any_more(here: Controlled) -> None:
    with elected(here) as (leader, other):
        here.apply(pool(warm=2))
        here.ready(2)
        leader.process.send_signal(signal.SIGSTOP)
        until(lambda: leads(other), 20)
        leader.process.send_signal(signal.SIGCONT)
        until(lambda: not leads(leader), 3)
        assert leads(other)
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)
        assert len(names(pods(here.place))) == 3


def test_without_its_api_server_a_leader_stops_deciding_and_one_leads_when_it_is_back(
    private_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = private_cluster()
    with ExitStack() as stack:
        place = stack.enter_context(namespace(cluster))
        here = stack.enter_context(controlled(place, tmp_path))
        first, second = (stack.enter_context(here.controller(name)) for name in "ab")
        until(lambda: leads(first) or leads(second))
        here.apply(pool(warm=2))
        here.ready(2)
        before = names(pods(place))
        leader = first if leads(first) else second
        cluster.plane.stop_api_server()
        away_at = time.monotonic()
        until(lambda: not leads(leader), 12)
        assert time.monotonic() - away_at < 10
        until(lambda: time.monotonic() - away_at > 12)
        assert not leads(first)
        assert not leads(second)
        cluster.plane.start_api_server()
        until(lambda: leads(first) or leads(second), 20)
        assert not (leads(first) and leads(second))
        leader = first if leads(first) else second
        until(lambda: ready_replicas(leader) == 2)
        assert names(pods(place)) == before
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)


def test_a_leader_that_is_killed_in_the_middle_of_a_change_takes_no_replica_along(here: Controlled) -> None:
    """Whoever takes over finds Pods of the old version only: they serve until new ones are ready in their place."""
    with elected(here) as (leader, other):
        here.apply(pool(warm=2))
        here.ready(2)
        old = names(pods(here.place))
        leader.process.send_signal(signal.SIGSTOP)
        here.apply(pool(warm=2, image="registry.test/toque:2"))
        leader.process.kill()
        with Census(here) as census:
            until(lambda: leads(other), 20)
            until(lambda: len(names(pods(here.place)) - old) == 2 and not names(pods(here.place)) & old)
            until(lambda: here.status().get("observedGeneration") == 2 and here.status().get("ready") == 2)
        assert census.least == 2
        assert {pod["spec"]["containers"][0]["image"] for pod in pods(here.place)} == {"registry.test/toque:2"}


def test_a_short_absence_of_the_api_server_ends_no_reign_and_nothing_is_missed(
    private_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = private_cluster()
    with ExitStack() as stack:
        place = stack.enter_context(namespace(cluster))
        here = stack.enter_context(controlled(place, tmp_path))
        controller = stack.enter_context(here.controller("a", "[cluster]\nlease_s = 40\nrenew_s_max = 30.0"))
        until(lambda: leads(controller))
        here.apply(pool(warm=2))
        here.ready(2)
        before = names(pods(place))
        cluster.plane.stop_api_server()
        away_at = time.monotonic()
        until(lambda: time.monotonic() - away_at > 6)
        cluster.plane.start_api_server()
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)
        assert before < names(pods(place))
        assert leads(controller)
        assert [each["is_leading"] for each in controller.announced if each["announcement"] == "Turned"] == [True]
        here.kubectl("delete", "mp", "chat", "--timeout=40s")
