"""`toque simulate`: tables, JSON, assertions, explanations, and errors that say what to do."""

import json
import platform
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.app.plan import model_identity
from toque.cli.exits import Exit
from toque.config.read import read_config

TRACE = "square:low=0.5,high=6,period=100,duration=300,prompt=500,output=100"


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "profile.toml"
    path.write_text('model = "slots"\nslots = 2\nbase_s = 0.2\nprefill_token_s = 0.0001\ndecode_token_s = 0.01\n')
    return str(path)


@pytest.mark.slow
def test_a_study_as_json_has_the_plan_the_bound_and_every_policy(profile: str, screen: Screen) -> None:
    assert screen.run("simulate", TRACE, "--profile", profile, "--cold-start", "5", "--json") == Exit.DONE
    content = json.loads(screen.shown)
    assert content["trace"] == TRACE
    assert content["cold_start_s"] == 5
    assert content["slo"] == "queue_wait<=2s@99%"
    names = [figures["policy"] for figures in content["policies"]]
    assert {"rate", "concurrency", "hpa", "kpa", "keda", "ray_serve"} <= set(names)
    for figures in content["policies"]:
        assert set(figures["queue_wait_s"]) >= {"p50", "p95", "p99"}
        assert figures["bound_ratio"] >= 1 or not figures["slo_met"]
        assert figures["plan_ratio"] >= 1 or not figures["slo_met"]
        assert 0 <= figures["slo_attainment"] <= 1
        assert figures["starts"] >= figures["stops"]
    plan, bound = content["plan"], content["bound"]
    assert bound["replica_hours"] <= plan["replica_hours"] <= content["fixed"]["replica_hours"]
    assert plan["slo_attainment"] >= 0.99


@pytest.mark.slow
def test_the_same_command_gives_the_same_figures(profile: str) -> None:
    shown = []
    for _ in range(2):
        screen = Screen()
        screen.run(
            "simulate", TRACE, "--profile", profile, "--cold-start", "lognormal:5,0.5", "--policy", "kpa", "--json"
        )
        shown.append(screen.shown)
    assert shown[0] == shown[1]


def test_a_person_gets_a_table_a_verdict_and_a_plot(profile: str, screen: Screen) -> None:
    arguments = ("--profile", profile, "--policy", "concurrency", "fixed", "--price", "2.5")
    assert screen.run("simulate", TRACE, *arguments) == Exit.DONE
    for text in ("POLICY", "REPLICA-H", "COST", "xPLAN", "plan", "concurrency", "no policy can pay less", "━", "█"):
        assert text in screen.shown
    assert "\x1b" not in screen.shown


def test_sizes_and_objective_are_taken_from_flags(profile: str, screen: Screen) -> None:
    flags = ("--initial", "2", "--minimum", "2", "--maximum", "3", "--slo", "ttft<=5s@90%", "--policy", "concurrency")
    assert screen.run("simulate", TRACE, "--profile", profile, *flags, "--json") == Exit.DONE
    content = json.loads(screen.shown)
    assert content["sizes"] == {"initial": 2, "minimum": 2, "maximum": 3}
    assert content["slo"] == "ttft<=5s@90%"


def test_assertions_decide_the_exit_status(profile: str, screen: Screen) -> None:
    arguments = ("simulate", TRACE, "--profile", profile, "--policy", "fixed", "--json")
    assert screen.run(*arguments, "--assert", "p99_queue_wait<=2s", "rejected<1%", "plan_ratio<50") == Exit.DONE
    failing = Screen()
    assert failing.run(*arguments, "--assert", "p95_ttft<2s", "--assert", "replica_hours<0.01") == Exit.FAILED
    assert "fixed: replica_hours<0.01 does not hold" in failing.said


def test_a_moment_is_explained_decision_by_decision(profile: str, screen: Screen) -> None:
    arguments = ("--profile", profile, "--policy", "concurrency", "--at", "60")
    assert screen.run("simulate", TRACE, *arguments) == Exit.DONE
    told = screen.shown.partition("concurrency, around 60 s:")[2]
    assert "in flight" in told
    assert "wanted" in told


def test_a_page_for_the_browser_is_written_and_needs_nothing_else(profile: str, tmp_path: Path, screen: Screen) -> None:
    path = tmp_path / "report.html"
    arguments = ("--profile", profile, "--policy", "concurrency", "kpa", "--html", str(path))
    assert screen.run("simulate", TRACE, *arguments) == Exit.DONE
    page = path.read_text("utf-8")
    assert "<svg" in page
    assert "concurrency" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert f"written: {path}" in screen.said


@pytest.mark.slow
def test_a_settings_file_is_run_as_it_is_and_two_are_compared(profile: str, tmp_path: Path) -> None:
    for name, policy, maximum in (("small", "concurrency", 2), ("large", "rate", 9)):
        (tmp_path / f"{name}.toml").write_text(
            f'[models.chat]\nagent = "fake"\nslots = 2\n[models.chat.replicas]\nminimum_warm = 1\nmaximum = {maximum}\n'
            f'[models.chat.scaling]\npolicy = "{policy}"\n'
        )
    small, large = (str(tmp_path / f"{name}.toml") for name in ("small", "large"))
    one, both = Screen(), Screen()
    assert one.run("simulate", TRACE, "--profile", profile, "--config", small, "--json") == Exit.DONE
    content = json.loads(one.shown)
    assert [figures["policy"] for figures in content["policies"]] == ["concurrency"]
    assert content["sizes"]["maximum"] == 2
    assert both.run("simulate", TRACE, "--profile", profile, "--compare", small, large, "--json") == Exit.DONE
    assert [figures["policy"] for figures in json.loads(both.shown)["policies"]] == ["small", "large"]


@pytest.mark.slow
def test_each_file_compared_stands_beside_its_own_plan_with_its_own_slots(profile: str, tmp_path: Path) -> None:
    files = []
    for name, slots in (("two", ""), ("six", "slots = 6\n")):
        files.append(str(tmp_path / f"{name}.toml"))
        Path(files[-1]).write_text(f'[models.chat]\nagent = "fake"\n{slots}replicas = {{ maximum = 9 }}\n')
    screen, table = Screen(), Screen()
    assert screen.run("simulate", TRACE, "--profile", profile, "--compare", *files, "--json") == Exit.DONE
    content = json.loads(screen.shown)
    two, six = content["studies"]
    assert (two["slots"], six["slots"]) == (2, 6)
    assert two["fixed"]["replicas"] > six["fixed"]["replicas"]
    assert two["plan"]["replica_hours"] > six["plan"]["replica_hours"]
    for study, figures in zip((two, six), content["policies"], strict=True):
        ratio = figures["replica_hours"] / study["plan"]["replica_hours"]
        assert figures["plan_ratio"] == pytest.approx(ratio, abs=1e-3)
    assert table.run("simulate", TRACE, "--profile", profile, "--compare", *files) == Exit.DONE
    assert "2 slots a replica, from the profile" in table.shown
    assert f"6 slots a replica, from {files[1]}" in table.shown


def test_what_was_measured_here_of_a_model_is_taken_as_its_cold_start(profile: str, tmp_path: Path) -> None:
    settings = tmp_path / "toque.toml"
    settings.write_text(f'records = {{ state_dir = "{tmp_path}" }}\n[models.chat]\nagent = "fake"\nslots = 2\n')
    flags = ("--profile", profile, "--cold-start", "measured", "--json")
    strange, without, known = Screen(), Screen(), Screen()
    assert strange.run("simulate", TRACE, *flags, "--config", str(settings)) == Exit.USAGE
    assert "no start of 'chat' was measured on this machine" in strange.said
    assert without.run("simulate", TRACE, *flags) == Exit.USAGE
    assert "add --config FILE" in without.said
    identity = model_identity(read_config(settings, {}, {}).models[0])
    entry = {"spawn_s": 1.0, "load_s": 6.0, "warm_up_s": 0.5, "memory_bytes": 0, "starts": 3}
    key = f"{identity}@{platform.node()}/{platform.machine()}"
    (tmp_path / "ledger.json").write_text(json.dumps({key: entry}))
    assert known.run("simulate", TRACE, *flags, "--config", str(settings)) == Exit.DONE
    assert json.loads(known.shown)["cold_start_s"] == 7.5


def test_one_model_of_a_trace_that_tells_them_apart_can_be_chosen(profile: str, tmp_path: Path) -> None:
    rows = [f"{number},10,10,{'chat' if number % 3 else 'code'}" for number in range(300)]
    trace = tmp_path / "both.csv"
    trace.write_text("\n".join(["arrival_s,prompt_tokens,output_tokens,model", *rows]))
    flags = ("--profile", profile, "--policy", "fixed", "--json")
    requests = []
    for model in ((), ("--model", "chat"), ("--model", "code")):
        screen = Screen()
        assert screen.run("simulate", str(trace), *model, *flags) == Exit.DONE
        requests.append(json.loads(screen.shown)["requests"])
    assert requests == [300, 200, 100]
    nobody = Screen()
    assert nobody.run("simulate", str(trace), "--model", "image", *flags) == Exit.USAGE
    assert "no requests of model 'image'; it has chat, code" in nobody.said


def test_traffic_can_be_reshaped_and_mixed_on_the_way(profile: str, screen: Screen) -> None:
    reshaped = ("--between", "0", "100", "--speed", "2", "--thin", "0.5", "--batch", "poisson:rate=1,duration=60")
    arguments = ("--profile", profile, "--policy", "concurrency", "--json")
    assert screen.run("simulate", TRACE, *reshaped, *arguments) == Exit.DONE
    assert 100 < json.loads(screen.shown)["requests"] < 800


def test_a_job_in_the_valleys_is_told_beside_the_same_traffic_without_it(profile: str, tmp_path: Path) -> None:
    flags = ("--profile", profile, "--policy", "fixed", "--backlog", "100", "--backlog-tokens", "50,20")
    json_screen, table, page = Screen(), Screen(), Screen()
    assert json_screen.run("simulate", TRACE, *flags, "--backlog-at", "30", "--json") == Exit.DONE
    content = json.loads(json_screen.shown)
    valley = content["valleys"][0]
    job, own = valley["job"], valley["own_fleet"]
    assert valley["policy"] == "fixed"
    assert valley["alone"]["replica_hours"] == content["policies"][0]["replica_hours"]
    assert (job["items"], job["done"], job["at_s"]) == (100, 100, 30)
    assert 0.5 < job["idle_used"] <= 1
    assert own["replica_hours"] == pytest.approx(100 * (0.2 + 50 * 0.0001 + 19 * 0.01) / 2 / 3600, abs=1e-6)
    saved = valley["alone"]["replica_hours"] + own["replica_hours"] - valley["beside"]["replica_hours"]
    assert valley["saved_replica_hours"] == pytest.approx(saved, abs=1e-5)
    assert table.run("simulate", TRACE, *flags) == Exit.DONE
    for text in ("POLICY", "IN THE VALLEYS", "with the job", "fixed: 100 items in", "always full"):
        assert text in table.shown
    assert page.run("simulate", TRACE, *flags, "--html", str(tmp_path / "report.html")) == Exit.DONE
    assert "IN THE VALLEYS" in page.shown
    assert "POLICY" not in page.shown


def test_the_classic_demonstration_is_told_line_by_line(screen: Screen) -> None:
    assert screen.run("simulate", "bursts") == Exit.DONE
    for text in ("target 10", "scaling up", "scaling down", "stable", "55 requests"):
        assert text in screen.shown


def test_with_any_flag_the_demonstration_is_traffic_like_any_other(profile: str, screen: Screen) -> None:
    assert screen.run("simulate", "bursts", "--cold-start", "1", "--profile", profile) == Exit.DONE
    assert "55 requests; objective" in screen.shown
    assert "cold start 1 s" in screen.shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.csv"], "there is no trace 'nowhere.csv'"),
        (["poisson:rate=1", "--policy", "magic"], "there is no policy 'magic'"),
        (["poisson:rate=1", "--minimum", "5", "--maximum", "2"], "contradict"),
        (["poisson:rate=1", "--initial", "9", "--maximum", "2"], "contradict"),
        (["poisson:rate=1", "--maximum", "0"], "contradict"),
        (["poisson:rate=1", "--slo", "fast"], "'fast' is no objective"),
        (["poisson:rate=1", "--assert", "speed<1"], "nothing is called 'speed'"),
        (["poisson:rate=1", "--assert", "p95_ttft"], "is no assertion"),
        (["poisson:rate=1", "--cold-start", "soon"], "soon"),
        (["poisson:rate=1", "--profile", "none.toml"], "none.toml"),
        (["poisson:rate=1", "--thin", "0"], "--thin"),
        (["poisson:rate=1", "--between", "9000", "9100"], "no requests"),
        (["poisson:rate=1", "--backlog", "-1"], "number of items"),
        (["poisson:rate=1", "--backlog", "5", "--backlog-tokens", "500"], "no lengths of an item"),
        (["poisson:rate=1", "--model", "chat"], "does not tell models apart"),
        (["poisson:rate=1", "--compare", "a.toml", "--policy", "kpa"], "--compare"),
    ],
)
def test_what_cannot_be_simulated_is_told_with_a_way_out(arguments: list[str], told: str, screen: Screen) -> None:
    assert screen.run("simulate", *arguments) == Exit.USAGE
    assert told in screen.said
    assert "fix:" in screen.said


def test_a_bad_row_is_told_with_its_line(tmp_path: Path, screen: Screen) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("arrival_s\n0\n5\n4\n")
    assert screen.run("simulate", str(path)) == Exit.USAGE
    assert f"{path}:4" in screen.said


class Half:
    """A policy that lacks what the core asks for."""

    interval_s = 2.0


def test_a_policy_of_ones_own_that_lacks_something_is_told_what(screen: Screen) -> None:
    assert screen.run("simulate", "poisson:rate=1", "--policy", f"{__name__}:Half") == Exit.USAGE
    assert "lacks desire, foresees, holds_back" in screen.said
    assert "toque.core.policy.Policy" in screen.said
