"""Replicas as real child processes: how they come up, what is told of them, and that nothing is left of them."""

import asyncio
import os
import signal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import uvloop

from tests.drivers.bench import Bench, bench, has_ended, model, until
from toque.drivers.out_of_memory import count_memory_kills
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.condition import FailureCause
from toque.model.errors import ConfigError
from toque.model.messages import ReplicaFailed, ReplicaHealthy, ReplicaReady, ReplicaStopped
from toque.ports import Launch, ReplicaStatus

IN_ORDER = ["ReplicaSpawned", "ReplicaLoaded", "ReplicaReady"]


async def ready(made: Bench, of: ModelSpec | None = None) -> int:
    """Start replica 1, wait until it is ready and return its process id."""
    made.driver.start(1, of or model())
    await made.reports.first(ReplicaReady)
    return made.driver.status(1).pid


def seen_from_outside(pid: int) -> tuple[bytes, bytes]:
    """A process's environment and arguments, as any program of the same user may read them."""
    return Path(f"/proc/{pid}/environ").read_bytes(), Path(f"/proc/{pid}/cmdline").read_bytes()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def traces(state_dir: Path) -> list[Path]:
    return list((state_dir / "children").iterdir())


async def test_a_replica_comes_up_in_phases_and_goes_when_it_is_told_to(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made)
        assert made.reports.names() == IN_ORDER
        assert made.reports.progress == [(1, 0.5), (1, 1.0)]
        assert made.driver.is_ours(1)
        made.driver.stop(1)
        await made.reports.first(ReplicaStopped)
        assert made.reports.names() == [*IN_ORDER, "ReplicaStopped"]
        assert await has_ended(pid)
        assert made.driver.endpoint(1) is None
        assert not made.driver.is_ours(1)


async def test_its_memory_is_measured_once_it_is_loaded(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await ready(made)
        footprint = (await made.reports.first(ReplicaReady)).footprint
        assert 2**20 < footprint.memory_bytes < 2**30
        assert footprint.cores == 2
        assert made.driver.status(1).memory_bytes == footprint.memory_bytes


async def test_its_port_answers_nobody_without_its_secret(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await ready(made)
        endpoint = made.driver.endpoint(1)
        assert endpoint is not None
        with pytest.raises(HTTPError, match="401"):
            await asyncio.to_thread(urlopen, f"http://127.0.0.1:{endpoint.port}/health")
        assert endpoint.key is made.secrets[0]
        assert made.secrets[0].reveal() not in repr(endpoint)


async def test_s11_a_child_sees_no_key_of_ours_and_its_own_secret_is_not_in_argv(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made)
        given, argv = seen_from_outside(pid)
        assert b"PATH=" in given
        assert b"CANARY" not in given
        assert made.secrets[0].reveal().encode() in given
        assert made.secrets[0].reveal().encode() not in argv


async def test_two_replicas_have_two_secrets(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.start(1, model())
        made.driver.start(2, model())
        await until(lambda: made.reports.names().count("ReplicaReady") == 2)
        assert made.secrets[0].reveal() != made.secrets[1].reveal()


async def test_r01_a_killed_replica_is_reported_at_once_with_what_probably_killed_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made, model(health_interval_s=60))
        os.kill(pid, signal.SIGKILL)
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.EXITED, "killed (signal 9, probably out of memory)")
        assert not made.driver.is_ours(1)


async def test_r10_a_replica_that_the_kernel_killed_for_want_of_memory_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made, model(health_interval_s=60))
        made.memory_kills += 1
        os.kill(pid, signal.SIGKILL)
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.OUT_OF_MEMORY, "killed by the kernel (signal 9, out of memory)")


@pytest.mark.parametrize(("told", "count"), [("pgfault 3\noom_kill 7\n", 7), ("pgfault 3\n", 0), ("oom_kill x\n", 0)])
def test_r10_the_kernel_counts_what_it_killed(tmp_path: Path, told: str, count: int) -> None:
    (tmp_path / "vmstat").write_text(told)
    assert count_memory_kills(tmp_path / "vmstat") == count
    assert count_memory_kills(tmp_path / "not_there") == 0
    assert count_memory_kills() >= 0


async def test_another_signal_is_called_by_its_name(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        os.kill(await ready(made), signal.SIGSEGV)
        assert (await made.reports.first(ReplicaFailed)).reason == "killed (signal 11, Segmentation fault)"


async def test_r07_a_replica_that_exits_early_leaves_its_last_words(tmp_path: Path) -> None:
    async with bench(tmp_path, "exit") as made:
        made.driver.start(1, model())
        failed = await made.reports.first(ReplicaFailed)
        assert failed.cause is FailureCause.EXITED
        assert failed.reason == "exited with code 1: no room for the model"
        await until(lambda: not made.driver.is_ours(1))
        assert made.driver.status(1).last_lines == ("no room for the model",)


async def test_r07_only_the_last_words_of_the_last_few_are_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.argv = ("/bin/echo", "gone")
        for replica_id in range(40):
            made.driver.start(replica_id, model())
        await until(lambda: made.reports.names().count("ReplicaFailed") == 40 and not made.driver._tasks)
        known = [number for number in range(40) if made.driver.status(number).last_lines == ("gone",)]
        assert len(known) == 32


async def test_r09_a_model_that_cannot_be_loaded_fails_with_the_child_s_own_reason(tmp_path: Path) -> None:
    async with bench(tmp_path, "refuse") as made:
        made.driver.start(1, model())
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.INVALID_MODEL, "model.gguf: not a GGUF file")


async def test_a_command_that_is_not_there_is_a_failure_of_the_replica(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.argv = (str(tmp_path / "nothing"),)
        made.driver.start(1, model())
        failed = await made.reports.first(ReplicaFailed)
        assert failed.reason == "could not be started: No such file or directory"


@pytest.mark.slow
async def test_r08_a_replica_that_never_becomes_ready_is_gone_after_the_timeout(tmp_path: Path) -> None:
    async with bench(tmp_path, "endless", "family") as made:
        made.driver.start(1, model(startup_timeout_s=2.0))
        await until(lambda: bool(made.driver.status(1).last_lines))
        pid, relative = made.driver.status(1).pid, int(made.driver.status(1).last_lines[0])
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.START_TIMEOUT, "was not ready within 2 s")
        assert await has_ended(pid)
        assert await has_ended(relative)


async def test_who_ignores_the_request_to_end_is_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.drivers.life.STOP_GRACE_S", 0.2)
    async with bench(tmp_path, "stubborn", "family") as made:
        pid = await ready(made)
        relative = int(made.driver.status(1).last_lines[0])
        made.driver.stop(1)
        await made.reports.first(ReplicaStopped)
        assert await has_ended(pid)
        assert await has_ended(relative)


async def test_what_a_replica_started_itself_ends_with_it(tmp_path: Path) -> None:
    async with bench(tmp_path, "family") as made:
        pid = await ready(made)
        relative = int(made.driver.status(1).last_lines[0])
        os.kill(pid, signal.SIGKILL)
        await made.reports.first(ReplicaFailed)
        assert await has_ended(relative)


async def test_r13_any_amount_of_output_is_drained_and_little_of_it_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, "noisy") as made:
        await ready(made)
        await until(lambda: "done" in made.driver.status(1).last_lines[-1])
        lines = made.driver.status(1).last_lines
        assert lines[:-1] == ("noise",) * 49
        assert lines[-1] == "[31mdone[0m ***"


async def test_a_probe_of_a_healthy_replica_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await ready(made, model(health_interval_s=60))
        made.driver.probe(1)
        assert await made.reports.first(ReplicaHealthy) == ReplicaHealthy(1)


async def test_three_failed_probes_end_a_replica(tmp_path: Path) -> None:
    async with bench(tmp_path, "unwell") as made:
        pid = await ready(made)
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.UNHEALTHY, "did not answer its health probes")
        assert await has_ended(pid)


@pytest.mark.slow
async def test_r04_a_replica_that_hangs_is_found_by_a_probe_and_killed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made, model(health_interval_s=60))
        os.kill(pid, signal.SIGSTOP)
        made.driver.probe(1)
        assert (await made.reports.first(ReplicaFailed)).cause is FailureCause.UNHEALTHY
        assert await has_ended(pid)


@pytest.mark.slow
async def test_r06_a_replica_that_pauses_for_five_seconds_lives_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        pid = await ready(made, model(health_interval_s=60))
        os.kill(pid, signal.SIGSTOP)
        made.driver.probe(1)
        asyncio.get_running_loop().call_later(5.0, os.kill, pid, signal.SIGCONT)
        await made.reports.first(ReplicaHealthy)
        assert made.driver.is_ours(1)


async def test_a_replica_may_be_stopped_before_it_is_ready(tmp_path: Path) -> None:
    async with bench(tmp_path, "endless") as made:
        made.driver.start(1, model())
        await until(lambda: bool(made.driver.status(1).pid))
        made.driver.stop(1)
        await made.reports.first(ReplicaStopped)
        assert "ReplicaReady" not in made.reports.names()


async def test_a_replica_that_dies_while_it_is_stopped_is_stopped(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        os.kill(await ready(made), signal.SIGKILL)
        made.driver.stop(1)
        await made.reports.first(ReplicaStopped)
        assert made.reports.names() == [*IN_ORDER, "ReplicaStopped"]


def test_uvloop_tells_and_ends_the_same(tmp_path: Path) -> None:
    async def story() -> list[str]:
        async with bench(tmp_path, "family") as made:
            os.kill(await ready(made), signal.SIGKILL)
            await made.reports.first(ReplicaFailed)
            made.driver.start(2, model())
            await until(lambda: made.driver.endpoint(2) is not None)
            made.driver.stop(2)
            await made.reports.first(ReplicaStopped)
            return made.reports.names()

    told = uvloop.run(story())
    assert told == [*IN_ORDER, "ReplicaFailed", *IN_ORDER, "ReplicaStopped"]


async def test_closing_ends_all_replicas_and_leaves_no_trace(tmp_path: Path) -> None:
    descriptors = open_descriptors()
    made = Bench(tmp_path)
    pid = await ready(made)
    made.driver.start(2, model())
    await made.driver.close()
    assert await has_ended(pid)
    assert made.reports.names().count("ReplicaStopped") == 2
    assert open_descriptors() == descriptors
    assert traces(tmp_path) == []


async def test_a_cancelled_life_ends_its_child_at_once(tmp_path: Path) -> None:
    made = Bench(tmp_path, "stubborn")
    pid = await ready(made)
    made.driver._tasks[1].cancel()
    assert await has_ended(pid)
    await made.driver.close()
    assert "ReplicaStopped" not in made.reports.names()


async def test_a_model_that_runs_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.argv = ()
        with pytest.raises(ConfigError, match="elsewhere"):
            made.driver.start(1, model())


async def test_unknown_replicas_are_nobody_s(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.stop(7)
        made.driver.probe(7)
        assert made.driver.endpoint(7) is None
        assert not made.driver.is_ours(7)
        assert made.driver.status(7) == ReplicaStatus()


def test_a_launch_and_a_secret_print_nothing_secret() -> None:
    assert "hush" not in repr(Launch(("engine",), {"TOQUE_SECRET": "hush"})) + repr(Secret("hush"))
