"""What a plan comes to, and each way in which one can be wrong, with the line that says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from surgeproof.errors import PlanError
from surgeproof.model.plan import Plan
from surgeproof.plan import load_plan

Load = Callable[..., Plan]
Mistakes = Callable[..., list[str]]


def test_a_plan_is_resolved_into_seconds(load: Load) -> None:
    plan = load()
    assert (plan.name, plan.seed, plan.timeout_s, plan.duration_s) == ("small", 7, 180.0, 70.0)
    assert [(p.name, p.start_s, p.duration_s, p.mix) for p in plan.load.phases] == [
        ("warmup", 0.0, 10.0, "steady"),
        ("surge", 10.0, 60.0, "launch"),
    ]
    burst = plan.load.phases[1].arrivals[1]
    assert (burst.kind, dict(burst.parameters)) == ("burst", {"at": 20.0, "for": 5.0, "rate": 30.0})
    slow, gone = plan.faults
    assert (slow.edge, slow.start_s, slow.end_s) == ("db", 15.0, 25.0)
    assert dict(slow.attributes) == {"latency": 120, "jitter": 30}
    assert (gone.kind, gone.start_s, dict(gone.attributes)) == ("down", 45.0, {})
    assert [gate.id for gate in plan.gates] == [
        "response_time p95 GET /feed @ fault:gone",
        "errors rate",
    ]
    assert plan.gates[0].source == "plan.yaml:31"
    assert [guard.over_s for guard in plan.guards] == [20.0]
    assert [edge.name for edge in plan.edges] == ["db", "cache"]
    assert plan.ledger_kinds == ("post",)
    assert plan.load.mixes["launch"] == {"GET /feed": 3.0, "POST /posts": 1.0}
    assert (plan.load.engine, plan.load.unit, plan.load.late_after_s) == ("locust", "request", 0.01)


@pytest.mark.parametrize(
    ("moment", "start_s"),
    [
        ("surge.start", 10.0),
        ("surge.start+5s", 15.0),
        ("surge.end - 10s", 60.0),
        ("warmup.end", 10.0),
        # The burst begins 20 s into the surge: from there on the rate is highest.
        ("surge.peak", 30.0),
        ("surge.peak - 1500ms", 28.5),
        ("warmup.peak", 0.0),
    ],
)
def test_moment_on_the_time_axis(load: Load, moment: str, start_s: float) -> None:
    plan = load(("surge.end - 25s", moment), ("during fault:gone", "during surge"))
    assert plan.faults[1].start_s == pytest.approx(start_s)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "  driver: external",
            "  drvier: external",
            "plan.yaml:5:3: target.drvier: unknown key 'drvier'; did you mean 'driver'?",
            id="unknown key with the nearest one",
        ),
        pytest.param(
            "timeout: 3m",
            "timeot: 3m",
            "plan.yaml:10:1: timeot: unknown key 'timeot'; did you mean 'timeout'?",
            id="unknown key at the top",
        ),
        pytest.param(
            "  file: scenario.py",
            "  file: scenaro.py",
            "plan.yaml:15:9: load.file: there is no file 'scenaro.py'",
            id="missing scenario file",
        ),
        pytest.param(
            "edges: edges.toml",
            "edges: none.toml",
            "plan.yaml:7:10: target.edges: there is no file 'none.toml'",
            id="missing edges file",
        ),
        pytest.param(
            "mix: mix.toml",
            "mix: mux.toml",
            "plan.yaml:16:8: load.mix: there is no file 'mux.toml'",
            id="missing file of mixes",
        ),
        pytest.param(
            "timeout: 3m",
            "timeout: 300",
            "plan.yaml:10:10: timeout: '300' is no duration, the unit is missing",
            id="time without a unit",
        ),
        pytest.param(
            "latency: 120ms",
            "latency: 120",
            "plan.yaml:26:84: faults[0].latency: '120' is no duration, the unit is missing",
            id="fault attribute without a unit",
        ),
        pytest.param(
            "{rate: 20/s}",
            "{rate: 20}",
            "plan.yaml:23:28: load.phases[1].arrivals[0].constant.rate: '20' is no rate, the unit",
            id="rate without a unit",
        ),
        pytest.param(
            "duration: 60s",
            "duration: 0s",
            "plan.yaml:20:17: load.phases[1].duration: '0s' is no time at all",
            id="a phase without length",
        ),
        pytest.param(
            "edge: cache",
            "edge: cach",
            "plan.yaml:27:24: faults[1].edge: unknown edge 'cach'; did you mean 'cache'? acc",
            id="fault on an edge that does not exist",
        ),
        pytest.param(
            "kind: latency",
            "kind: latncy",
            "plan.yaml:26:34: faults[0].kind: unknown fault kind 'latncy'; did you mean 'latency'?",
            id="unknown fault kind",
        ),
        pytest.param(
            "jitter: 30ms",
            "jiter: 30ms",
            "plan.yaml:26:91: faults[0].jiter: unknown key 'jiter'; did you mean 'jitter'?",
            id="unknown fault attribute",
        ),
        pytest.param(
            "latency: 120ms, jitter: 30ms",
            "jitter: 30ms",
            "plan.yaml:26:5: faults[0].latency: is required",
            id="fault attribute missing",
        ),
        pytest.param(
            "latency: 120ms",
            "latency: 2h",
            "plan.yaml:26:5: faults[0]: latency of latency is 7200000 ms; accepted: 0 to 3600000",
            id="fault attribute out of bounds",
        ),
        pytest.param(
            "surge.start + 5s",
            "surg.start + 5s",
            "plan.yaml:26:47: faults[0].at: unknown phase 'surg'; did you mean 'surge'?",
            id="moment of an unknown phase",
        ),
        pytest.param(
            "surge.start + 5s",
            "15s",
            "plan.yaml:26:47: faults[0].at: '15s' is no moment; accepted: PHASE.start",
            id="moment without a phase",
        ),
        pytest.param(
            "surge.start + 5s",
            "surge.begin + 5s",
            "plan.yaml:26:47: faults[0].at: unknown moment 'begin'; accepted: start, peak, end",
            id="moment that is none",
        ),
        pytest.param(
            "surge.start + 5s",
            "surge.end - 5s",
            "plan.yaml:26:47: faults[0].at: the fault lasts from 65s to 75s, outside the run",
            id="fault beyond the end of the run",
        ),
        pytest.param(
            "surge.start + 5s",
            "warmup.start - 1s",
            "plan.yaml:26:47: faults[0].at: the fault lasts from -1s to 9s, outside the run",
            id="fault before the run",
        ),
        pytest.param(
            "edge: cache, kind: down, at: surge.end - 25s",
            "edge: db, kind: down, at: surge.start + 14s",
            "plan.yaml:27:44: faults[1].at: overlaps with fault 'slow' on the same edge db (15s to",
            id="two faults at once on one edge",
        ),
        pytest.param(
            "{name: gone,",
            "{name: slow,",
            "plan.yaml:27:12: faults[1].name: 'slow' is there twice",
            id="two faults of one name",
        ),
        pytest.param(
            "- constant: {rate: 20/s}",
            "- constnt: {rate: 20/s}",
            "plan.yaml:23:11: load.phases[1].arrivals[0]: unknown arrival kind 'constnt'",
            id="unknown arrival kind",
        ),
        pytest.param(
            "at: 20s, for: 5s",
            "at: 57s, for: 5s",
            "plan.yaml:24:18: load.phases[1].arrivals[1].burst: burst ends 62s into its phase",
            id="a burst beyond its phase",
        ),
        pytest.param(
            "mix: launch",
            "mix: lunch",
            "plan.yaml:21:12: load.phases[1].mix: unknown mix 'lunch'; did you mean 'launch'?",
            id="unknown mix",
        ),
        pytest.param(
            "timeout: 3m",
            "timeout: 1m",
            "plan.yaml:10:10: timeout: 1m would end the run before its phases do (1m10s)",
            id="timeout shorter than the phases",
        ),
        pytest.param(
            'name="GET /feed"',
            'name="GET /fed"',
            "plan.yaml:31:5: gates[0]: unknown name 'GET /fed'; did you mean 'GET /feed'?",
            id="gate on a request that does not exist",
        ),
        pytest.param(
            "http.response_time{",
            "http.reponse_time{",
            "plan.yaml:31:5: gates[0]: unknown metric 'http.reponse_time'; did you mean",
            id="gate on an unknown metric",
        ),
        pytest.param(
            "p95 < 400ms",
            "p95 < 400",
            "plan.yaml:31:5: gates[0]: '400' is no duration, the unit is missing",
            id="gate without a unit",
        ),
        pytest.param(
            "during fault:gone",
            "during fault:gon",
            "plan.yaml:31:5: gates[0]: unknown fault 'gon'; did you mean 'gone'?",
            id="gate during an unknown fault",
        ),
        pytest.param(
            "during fault:gone",
            "during serge",
            "plan.yaml:31:5: gates[0]: unknown phase 'serge'; did you mean 'surge'?",
            id="gate during an unknown phase",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            "ledger.lost{kind=like} == 0",
            "plan.yaml:32:5: gates[1]: unknown kind 'like'; accepted: post",
            id="gate on an unknown kind of the ledger",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            "http.errors{tier=T3}: rate < 1%",
            "plan.yaml:32:5: gates[1]: unknown tier 'T3'",
            id="gate on a tier without endpoints",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            'http.errors{name="GET /feed", tier=T1}: rate < 1%',
            "plan.yaml:32:5: gates[1]: no request matches all labels of http.errors{",
            id="gate on labels that exclude each other",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            "http.errors{phase=warmup}: rate < 1% during surge",
            "plan.yaml:32:5: gates[1]: the schedule has no request of",
            id="gate on a phase during another",
        ),
        pytest.param(
            "p95 < 400ms",
            "p99 < 400ms",
            "plan.yaml:31:5: gates[0]: p99 needs 299 requests, and the schedule has ",
            id="gate with too few requests",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            "http.response_time: p95 < 1s over 2s",
            "plan.yaml:32:5: gates[1]: p95 needs 59 requests, and the schedule has 20 of",
            id="rolling gate with too few requests",
        ),
        pytest.param(
            "http.errors: rate < 1%",
            "http.errors: rate < 1% during fault:slow over 11s",
            "plan.yaml:32:5: gates[1]: fault:slow lasts 10s at most, less than the 11s",
            id="rolling window longer than the fault",
        ),
        pytest.param(
            "rate < 50% over 20s",
            "rate < 50% during surge",
            "plan.yaml:29:5: guards[0]: a guard watches the whole run",
            id="guard during a phase",
        ),
        pytest.param(
            "seed: 7",
            "seed: seven",
            "plan.yaml:3:7: seed: found 'seven', accepted: a whole number, 0 or more",
            id="seed that is no number",
        ),
        pytest.param(
            "seed: 7\n", "", "plan.yaml:1:1: seed: is required", id="a required key is missing"
        ),
        pytest.param(
            "version: 1",
            "version: 2",
            "plan.yaml:1:10: version: 2 is not known here; accepted: 1",
            id="a version of the future",
        ),
        pytest.param(
            "base_url: http://127.0.0.1:8080",
            "base_url: localhost:8080",
            "plan.yaml:6:13: target.base_url: base url 'localhost:8080' cannot be used",
            id="address without a scheme",
        ),
        pytest.param(
            "  toxiproxy: http://127.0.0.1:8474\n",
            "",
            "plan.yaml:25:3: faults: an external target's faults need target.toxiproxy",
            id="faults on an external target without a Toxiproxy",
        ),
        pytest.param(
            "${TOKEN}",
            "${TOKEN",
            "plan.yaml:8:28: target.headers.Authorization: a reference '${' is not closed",
            id="reference that is not closed",
        ),
        pytest.param(
            'name: "GET /feed", tier: T0',
            'name: "/feed", tier: T0',
            "plan.yaml:12:12: endpoints[0].name: '/feed' is no request's key; accepted",
            id="endpoint without a method",
        ),
        pytest.param(
            'name: "POST /posts", tier: T1',
            'name: "GET /feed", tier: T1',
            "plan.yaml:13:12: endpoints[1].name: 'GET /feed' is there twice",
            id="endpoint twice",
        ),
        pytest.param(
            "ledger: [post]",
            "ledger: {post: 1}",
            "plan.yaml:33:9: ledger: found a mapping, accepted: a list",
            id="mapping where a list belongs",
        ),
        pytest.param(
            "seed: 7",
            "seed: 7\nseed: 8",
            "plan.yaml:4:1: seed: the key is there twice, first in line 3",
            id="key twice",
        ),
        pytest.param(
            "ledger: [post]",
            "ledger: [post",
            "plan.yaml:34:9: no valid YAML",
            id="no YAML",
        ),
        pytest.param(
            "    timeout: 2m",
            "    timout: 2m",
            "plan.yaml:36:5: profiles.short.timout: unknown key 'timout'; did you mean 'timeout'?",
            id="unknown key in a profile that is not used",
        ),
        pytest.param(
            "ledger: [post]",
            "objectives: [none.yaml]",
            "plan.yaml:33:14: objectives[0]: there is no file 'none.yaml'",
            id="missing file of objectives",
        ),
    ],
)
def test_mistake_names_file_line_and_key(
    mistakes: Mistakes, old: str, new: str, expected: str
) -> None:
    found = mistakes((old, new))
    assert any(line.startswith(expected) for line in found), "\n".join(found)


def test_the_edges_that_exist_are_listed(mistakes: Mistakes) -> None:
    assert mistakes(("edge: cache", "edge: nowhere"))[0].endswith("accepted: db, cache")


def test_all_mistakes_are_listed_at_once_in_file_order(mistakes: Mistakes) -> None:
    found = mistakes(
        ("seed: 7", "seeed: 7"),
        ("timeout: 3m", "timeout: 300"),
        ("edge: cache", "edge: cash"),
        ("latency: 120ms", "latency: 120"),
        ("rate < 1%", "rate < 1"),
    )
    assert [line.split(":")[1] for line in found] == ["1", "3", "10", "26", "27", "32"]


def test_a_mistake_in_one_place_makes_no_false_ones_elsewhere(mistakes: Mistakes) -> None:
    # The gate on fault `gone` stays unjudged: the fault exists, though it cannot be read.
    assert len(mistakes(("edge: cache", "edge: cash"))) == 1
    assert len(mistakes(("duration: 60s", "duration: 60"))) == 1
    assert len(mistakes(("file: scenario.py", "file: none.py"))) == 1


def test_a_missing_plan_is_a_plan_error(folder: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.yaml: there is no such file"):
        load_plan(folder / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("- 1\n", "found a list, accepted: a plan", id="a list"),
        pytest.param("a: &a [*a]\n", "nested too deeply", id="an alias within itself"),
        pytest.param("a: 1\n---\nb: 2\n", "several documents", id="two documents"),
        pytest.param("\x00", "no valid YAML", id="binary"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "plan.yaml").write_text(text)
    with pytest.raises(PlanError, match=message):
        load_plan(folder / "plan.yaml")


def test_nested_aliases_cannot_ask_for_all_the_memory(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (folder / "plan.yaml").write_text("\n".join(lines))
    with pytest.raises(PlanError, match="too many aliases"):
        load_plan(folder / "plan.yaml")


def test_mistakes_of_the_edges_file_are_among_the_plan_s(folder: Path) -> None:
    edges = (folder / "edges.toml").read_text()
    (folder / "edges.toml").write_text(edges.replace('name = "db"', 'nam = "db"'))
    with pytest.raises(PlanError) as caught:
        load_plan(folder / "plan.yaml", ["seed=x"])
    assert {mistake.file for mistake in caught.value.mistakes} == {"edges.toml", "--set seed=x"}


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ('[steady]\n"GET /feed" = -1\n[launch]\n"GET /feed" = 1\n', "a number above 0"),
        ('[steady\n"GET /feed" = 1\n', "no valid TOML"),
        ("steady = 3\n[launch]\na = 1\n", "accepted: a table of journeys"),
    ],
    ids=["negative weight", "no TOML", "no table"],
)
def test_a_broken_file_of_mixes_is_refused(folder: Path, mix: str, message: str) -> None:
    (folder / "mix.toml").write_text(mix)
    with pytest.raises(PlanError, match=message):
        load_plan(folder / "plan.yaml")


def test_without_a_mix_names_of_endpoints_are_known_and_counts_are_not(load: Load) -> None:
    plan = load(
        ("  mix: mix.toml\n", ""),
        ("      mix: launch\n", ""),
        ("mix: steady, ", ""),
        ("p95 < 400ms", "p99.9 < 400ms"),
    )
    assert not plan.load.mixes
    assert plan.gates[0].stat == "p99.9"


def test_files_are_found_beside_the_plan_from_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    plan = load_plan(folder / "plan.yaml")
    assert plan.load.file == folder / "scenario.py"


def test_a_processes_target_needs_a_stack_file(mistakes: Mistakes) -> None:
    found = mistakes(
        ("driver: external", "driver: processes"),
        ("  base_url: http://127.0.0.1:8080\n", ""),
        ("  toxiproxy: http://127.0.0.1:8474\n", ""),
    )
    assert len(found) == 1
    assert found[0].startswith("plan.yaml:6:10: target.edges: there is no stack.toml beside edges")


def test_an_external_target_takes_no_environment(mistakes: Mistakes) -> None:
    (found,) = mistakes(("timeout: 3m", "  env: {A: b}\ntimeout: 3m"))
    assert found.startswith("plan.yaml:10:8: target.env: an external target is not started here")


def test_overrides_reach_into_mappings_and_lists(load: Load) -> None:
    plan = load(
        overrides=[
            "seed=9",
            "load.phases.surge.arrivals.0.constant.rate=25/s",
            "faults[0].for=8s",
            "faults.gone.at=surge.end - 20s",
            "target.headers.X-Run=launch day",
            "gates=['yield: rate > 90%']",
        ]
    )
    assert (plan.seed, plan.faults[0].duration_s, plan.faults[1].start_s) == (9, 8.0, 50.0)
    assert plan.load.phases[1].arrivals[0].parameters["rate"] == 25.0
    assert plan.target.headers["X-Run"] == "launch day"
    assert [gate.expression for gate in plan.gates] == ["yield: rate > 90%"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: accepted: path.to.key=value"),
        ("faults.nope.for=1s", "unknown item 'nope'"),
        ("faults.7.for=1s", "unknown item '7'"),
        ("seed.x=1", "seed: is '7' and has nothing below it"),
        ("timout=1m", "--set timout=1m: timout: unknown key 'timout'; did you mean 'timeout'?"),
        ("timeout=300", "--set timeout=300: timeout: '300' is no duration, the unit is missing"),
        ("gates=[", "no valid YAML"),
    ],
    ids=["no value", "no such name", "no such index", "below a scalar", "key", "unit", "no YAML"],
)
def test_a_bad_override_is_named(mistakes: Mistakes, override: str, message: str) -> None:
    found = "\n".join(mistakes(overrides=[override]))
    assert message in found


def test_a_profile_is_merged_over_the_plan_and_overrides_over_both(load: Load) -> None:
    plan = load(profile="short", overrides=["load.late_after=30ms"])
    assert (plan.timeout_s, plan.load.late_after_s, plan.duration_s) == (120.0, 0.03, 70.0)


def test_an_unknown_profile_is_refused(mistakes: Mistakes) -> None:
    assert "unknown profile 'shrt'; did you mean 'short'?" in mistakes(profile="shrt")[0]


def test_effective_text_is_what_ran_with_secrets_unresolved(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    plan = load(profile="short", overrides=["seed=9"])
    effective = yaml.safe_load(plan.effective)
    assert (effective["seed"], effective["timeout"]) == (9, "2m")
    assert effective["target"]["headers"]["Authorization"] == "Bearer ${TOKEN}"
    assert "profiles" not in effective
    assert "hush" not in plan.effective


def test_the_effective_text_is_itself_a_plan(load: Load, folder: Path) -> None:
    plan = load(profile="short", overrides=["seed=9"])
    (folder / "again.yaml").write_text(plan.effective)
    again = load_plan(folder / "again.yaml")
    assert again.effective == plan.effective
    assert (again.faults, again.load) == (plan.faults, plan.load)


def test_a_secret_that_is_not_set_is_told_where_it_is_asked_for(load: Load, folder: Path) -> None:
    load()
    with pytest.raises(PlanError, match=r"plan\.yaml:8:.*variable TOKEN is not set"):
        load_plan(folder / "plan.yaml", environ={})
    assert load_plan(folder / "plan.yaml", environ={"TOKEN": "hush"}).name == "small"


def test_reading_plans_imports_no_load_engine() -> None:
    code = (
        "import sys, surgeproof.plan; "
        "print([m for m in ('locust', 'gevent', 'matplotlib', 'docker', 'pandas') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_gates_that_would_have_the_same_id_are_numbered(load: Load) -> None:
    plan = load(
        ("gates:\n", "gates:\n  - 'http.errors: rate < 3%'\n  - 'http.errors: rate < 2%'\n")
    )
    assert [gate.id for gate in plan.gates if gate.id.startswith("errors")] == [
        "errors rate",
        "errors rate #2",
        "errors rate #3",
    ]
