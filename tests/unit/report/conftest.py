"""A run folder made by hand: what a rehearsal of two minutes and three faults leaves behind."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from surgeproof.journal.events import EventLog
from surgeproof.journal.folder import RunFolder
from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, BatchWriter
from surgeproof.model.words import Outcome

STARTED_AT = datetime(2023, 7, 5, 23, 0, 0, tzinfo=UTC)
WARM_UP_S, SURGE_S = 8.0, 100.0
END_S = WARM_UP_S + SURGE_S
FEED, POST, THREAD = "GET /v1/feed/home", "POST /v1/posts", "GET /v1/posts/{id}"

# name, tier, weight, median seconds
ENDPOINTS = (
    (FEED, "T0", 33, 0.022),
    (THREAD, "T0", 20, 0.014),
    (POST, "T0", 9, 0.031),
    ("POST /v1/posts/{id}/like", "T1", 14, 0.012),
    ("GET /v1/users/{handle}", "T1", 10, 0.010),
    ("GET /v1/trending", "T2", 8, 0.006),
    ("POST /v1/sessions", "T0", 6, 0.040),
)
# name, kind, edge, start, end, seconds until recovered
FAULTS = (
    ("pg-slow", "latency", "graph-pg", 18.0, 36.0, 2.0),
    ("redis-down", "down", "feed-timeline", 48.0, 66.0, 6.0),
    ("stream-reset", "reset_peer", "worker-nats", 80.0, 96.0, 1.0),
)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def monotonic(self) -> float:
        return self.now_s

    def utc_now(self) -> datetime:
        return STARTED_AT + timedelta(seconds=self.now_s - 1000.0)

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


@dataclass(frozen=True)
class Recipe:
    """What the synthetic run is like; the defaults make a whole, healthy one."""

    rate_per_s: float = 40.0
    endpoints: tuple[tuple[str, str, int, float], ...] = ENDPOINTS
    name: str = "launch-day"
    folder: str = "20230705T230000Z-launch-day-5eed01"
    is_judged: bool = True
    until_s: float = END_S
    redis_p99_s: float = 0.31  # measured under redis-down; the limit is 400 ms
    has_server_metrics: bool = True
    steps: int = 1  # requests in each session
    result: Mapping[str, object] = field(default_factory=dict)  # merged over the hand-made one


def make_run(root: Path, recipe: Recipe = Recipe()) -> RunFolder:
    """Write a run folder as a rehearsal would."""
    path = root / recipe.folder
    for part in ("samples", "logs"):
        (path / part).mkdir(parents=True)
    folder = RunFolder(path)
    counts = _write_samples(folder, recipe)
    _write_events(folder, recipe)
    (path / "effective.yaml").write_text(
        "version: 1\nname: launch-day\nseed: 20230705\nload:\n  file: scenarios/launch_day.py\n"
    )
    folder.write_json("provenance.json", _provenance())
    if recipe.has_server_metrics:
        folder.write_json("server_metrics.json", _server_metrics())
    if recipe.is_judged:
        folder.write_json("result.json", {**_result(recipe, counts), **recipe.result})
    return folder


def sample_row(
    name: str, tier: str, at_s: float, time_s: float | None, outcome: str, session: int = 0
) -> dict[str, object]:
    """Return one row of a samples file; ``time_s`` None never ended."""
    status = {"full": 200, "degraded": 200, "shed": 503, "error": 502}.get(outcome, 200)
    end_s = None if time_s is None else at_s + time_s
    return {
        "intended_s": at_s,
        "start_s": at_s + 0.0004,
        "first_byte_s": end_s,
        "end_s": end_s,
        "generator": 0,
        "session": session,
        "step": 1,
        "attempt": 1,
        "name": name,
        "method": name.partition(" ")[0],
        "tier": tier,
        "phase": "warmup" if at_s < WARM_UP_S else "surge",
        "outcome": outcome,
        "error_kind": "timeout" if outcome == "error" else "",
        "degraded": "feed;mode=pull;cause=feed-timeline" if outcome == "degraded" else "",
        "status": 0 if time_s is None else status,
        "sent_bytes": 180,
        "received_bytes": 5200,
        "items": None,
        "items_full": None,
        "trace_id": None,
    }


def _active(at_s: float) -> str:
    for name, _, _, start_s, end_s, recovery_s in FAULTS:
        if start_s <= at_s < end_s + (recovery_s if name == "redis-down" else 0):
            return name
    return ""


def _draw(dice: random.Random, name: str, median_s: float, at_s: float) -> tuple[float, str]:
    time_s = median_s * math.exp(dice.gauss(0, 0.45)) * (1 + at_s / 200)
    fault = _active(at_s)
    if fault == "pg-slow" and name != "GET /v1/trending":
        time_s += 0.12 + dice.random() * 0.06 if dice.random() < 0.8 else 0.0
    if fault == "redis-down" and name in {FEED, "GET /v1/trending"}:
        time_s += dice.random() * 0.2
        if dice.random() < 0.02:
            return 0.25, "error"
        return time_s, "degraded" if dice.random() < 0.96 else "shed"
    return time_s, "full"


def _rate(at_s: float, recipe: Recipe) -> float:
    if at_s < WARM_UP_S:
        return 0.75 * recipe.rate_per_s
    curve = (0.55 + 0.75 * math.sin((at_s - WARM_UP_S) / SURGE_S * math.pi)) * recipe.rate_per_s
    return curve + (0.4 * recipe.rate_per_s if 40 <= at_s - WARM_UP_S < 46 else 0.0)


def _write_samples(folder: RunFolder, recipe: Recipe) -> dict[str, int]:
    dice = random.Random(7)
    names = [endpoint[0] for endpoint in recipe.endpoints]
    weights = [endpoint[2] for endpoint in recipe.endpoints]
    tiers = {endpoint[0]: endpoint[1] for endpoint in recipe.endpoints}
    medians = {endpoint[0]: endpoint[3] for endpoint in recipe.endpoints}
    counts: dict[str, int] = {"sent": 0}
    with BatchWriter(folder.samples / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        at_s = 0.0
        while recipe.rate_per_s > 0:
            at_s += 1 / max(_rate(at_s, recipe), 0.1)
            if at_s >= min(END_S, recipe.until_s):
                break
            name = dice.choices(names, weights)[0]
            time_s, outcome = _draw(dice, name, medians[name], at_s)
            session, step = divmod(counts["sent"], recipe.steps)
            row = sample_row(name, tiers[name], at_s, time_s, outcome, session)
            writer.add({**row, "step": step + 1})
            counts["sent"] += 1
            counts[f"{name} {outcome}"] = counts.get(f"{name} {outcome}", 0) + 1
    with BatchWriter(folder.samples / "drops-0.arrow", DROP_SCHEMA):
        pass
    pulses = [
        {
            "t_s": float(second), "cpu_ratio": 0.4, "loop_lag_p99_s": 0.002, "lag_p99_s": 0.003,
            "completed": counts["sent"] // recipe.steps,
        }
        for second in range(int(min(END_S, recipe.until_s)))
    ]  # fmt: skip
    lines = "".join(json.dumps(pulse) + "\n" for pulse in pulses)
    (folder.samples / "pulse-0.jsonl").write_text(lines)
    return counts


def _write_events(folder: RunFolder, recipe: Recipe) -> None:
    clock = FakeClock()
    steps: list[tuple[float, str, dict[str, object]]] = [
        (0.0, "phase.started", {"phase": "warmup"}),
        (WARM_UP_S, "phase.ended", {"phase": "warmup"}),
        (WARM_UP_S, "phase.started", {"phase": "surge"}),
        (END_S, "phase.ended", {"phase": "surge"}),
    ]
    for name, kind, edge, start_s, end_s, _ in FAULTS:
        about: dict[str, object] = {"fault": name, "kind": kind, "edge": edge}
        steps += [
            (start_s, "fault.intent", about),
            (start_s + 0.02, "fault.applied", about),
            (end_s, "fault.undone", about),
            (end_s + 0.03, "fault.verified", about),
        ]
    with EventLog(folder.events, clock, clock.now_s) as events:
        for at_s, event, fields in sorted(steps, key=lambda step: step[0]):
            if at_s <= recipe.until_s:
                clock.now_s = 1000.0 + at_s
                events.append(event, sync=False, **fields)


def _provenance() -> dict[str, object]:
    return {
        "seed": 20230705,
        "plan": "scenarios/launch_day.yaml",
        "plan_sha256": "9f" * 32,
        "schedule_sha256": "5c" * 32,
        "git_commit": "4f2d9c1e7ab30d5588c1e02f6e7a9c3b1d2e4f50",
        "git_dirty": False,
        "surgeproof": "0.1.0",
        "versions": {"locust": "2.47.0", "numpy": "2.4.6", "k6": None},
        "python": {"version": "3.11.2", "implementation": "CPython", "optimised": True},
        "machine": {"system": "Linux", "cpu": "a processor", "cores": 2, "memory_bytes": 8 * 2**30},
    }


def _server_metrics() -> dict[str, object]:
    def line(label: str, base: float, swing: float) -> dict[str, object]:
        points = [[float(t), round(base + swing * math.sin(t / 9), 3)] for t in range(int(END_S))]
        return {"label": label, "points": [point for point in points if not 70 <= point[0] < 75]}

    return {
        "schema": "surgeproof/server-metrics/1",
        "source": "scrape",
        "panels": [
            {
                "title": "Requests by service",
                "unit": "per_s",
                "series": [
                    line("gateway", 44, 10), line("feed", 15, 5), line("graph", 60, 20),
                    line("identity", 4, 1),
                ],
                "hidden_zero_series": 0,
            },
            {
                "title": "p99 request time by service",
                "unit": "seconds",
                "series": [line("gateway", 0.1, 0.05), line("feed", 0.06, 0.03)],
                "hidden_zero_series": 0,
            },
            {
                "title": "Calls by edge",
                "unit": "per_s",
                "series": [line(f"edge-{number}", 5 + number, 1) for number in range(8)],
                "hidden_zero_series": 3,
            },
            {"title": "Outbox pending", "unit": "count", "series": [], "hidden_zero_series": 0},
        ],
    }  # fmt: skip


def gate_json(
    id: str,  # noqa: A002
    expression: str,
    status: str,
    value: float | None,
    limit: float,
    n: int,
    window: tuple[str, float, float] = ("run", 0.0, END_S),
    message: str = "",
) -> dict[str, object]:
    """Return one gate of a result."""
    return {
        "id": id,
        "expression": expression,
        "status": status,
        "value": value,
        "limit": limit,
        "n": n,
        "window": {"name": window[0], "start_s": window[1], "end_s": window[2]},
        "message": message,
        "label": "",
        "first_breach_s": None if status != "fail" else window[1] + 2.5,
    }


def _gates(recipe: Recipe) -> list[dict[str, object]]:
    redis = ("fault:redis-down", 48.02, 66.03)
    is_slow = recipe.redis_p99_s >= 0.4
    return [
        gate_json(
            "errors", "http.errors: rate < 1%", "pass", 0.0021, 0.01, 4400,
            message="0.21% of 4400, limit 1%",
        ),
        gate_json(
            "feed-p99-redis",
            f'http.response_time{{name="{FEED}"}}: p99 < 400ms during fault:redis-down',
            "fail" if is_slow else "pass", recipe.redis_p99_s, 0.4, 412, redis,
            message=f"p99 was {recipe.redis_p99_s * 1e3:.0f}ms of 412 samples, limit 400ms",
        ),
        gate_json(
            "thread-p95-pg", f'http.response_time{{name="{THREAD}"}}: p95 < 300ms during '
            "fault:pg-slow", "pass", 0.191, 0.3, 160, ("fault:pg-slow", 18.02, 36.03),
        ),
        gate_json(
            "like-p99", 'http.response_time{name="POST /v1/posts/{id}/like"}: p99 < 250ms '
            "during fault:stream-reset", "inconclusive", 0.05, 0.25, 96,
            ("fault:stream-reset", 80.02, 96.03),
            message="96 samples, and a p99 needs 299",
        ),
        gate_json("yield", "yield: rate >= 99%", "pass", 0.9972, 0.99, 4400),
        gate_json("recovery", "recovery.time: max < 10s", "pass", 6.0, 10.0, 3),
        gate_json("ledger.lost", "ledger.lost == 0", "pass", 0.0, 0.0, 388),
    ]  # fmt: skip


def _result(recipe: Recipe, counts: Mapping[str, int]) -> dict[str, object]:
    gates = _gates(recipe)
    statuses = {str(gate["status"]) for gate in gates}
    status = "fail" if "fail" in statuses else "inconclusive"
    return {
        "schema": "surgeproof/result/1",
        "surgeproof": "0.1.0",
        "run": {
            "id": recipe.folder,
            "name": recipe.name,
            "started_at": STARTED_AT.isoformat(),
            "duration_s": END_S,
            "seed": 20230705,
        },
        "verdict": {
            "status": status,
            "words": "NO-GO" if status == "fail" else "NO VERDICT",
            "reasons": [
                {"code": f"gate_{'failed' if gate['status'] == 'fail' else gate['status']}",
                 "message": f"{gate['id']}: {gate['message']}"}
                for gate in gates if gate["status"] != "pass"
            ],
        },
        "exit_code": 3 if status == "fail" else 4,
        "phases": [
            {"name": "warmup", "start_s": 0.0, "end_s": WARM_UP_S, "mix": "steady"},
            {"name": "surge", "start_s": WARM_UP_S, "end_s": END_S, "mix": "launch_hour"},
        ],
        "arrivals": {
            "unit": "request", "scheduled": counts["sent"], "sent": counts["sent"], "late": 3,
            "dropped": 0, "lag_p99_s": 0.0021, "schedule_sha256": "5c" * 32,
        },
        "requests": {"sent": counts["sent"], "completed": counts["sent"], "unfinished": 0},
        "endpoints": [_endpoint(recipe, counts, *endpoint) for endpoint in recipe.endpoints],
        "faults": [
            {
                "name": name, "kind": kind, "edge": edge, "planned_at_s": start_s,
                "applied_at_s": start_s + 0.02, "cleared_at_s": end_s + 0.03, "verified": True,
                "observed": name != "stream-reset", "detail": "",
            }
            for name, kind, edge, start_s, end_s, _ in FAULTS
        ],
        "gates": gates,
        "ledger": {
            "post": {
                "acked": 388, "present": 388, "lost": 0, "stale": 1, "duplicated": 0,
                "indefinite": 2, "recovered": 1, "unread": 0, "lost_keys": [],
                "duplicated_keys": [],
            }
        },
        "recovery": [
            {
                "fault": name, "time_s": recovery_s if name != "stream-reset" else None,
                "censored_s": 12.0 if name == "stream-reset" else None,
                "window": {"name": f"recovery:{name}", "start_s": end_s + 0.03,
                           "end_s": end_s + 12.0},
            }
            for name, _, _, _, end_s, recovery_s in FAULTS
        ],
        "generator": {
            "cpu_ratio": 0.41, "loop_lag_p99_s": 0.0031, "lag_p99_s": 0.0021,
            "dropped_ratio": 0.0, "healthy": True, "problems": [], "advice": [],
            "waits": _waits(counts["sent"]), "processes": [_process(0), _process(1)],
        },
        "target": {
            "cpu_ratio": 1.31, "cpu_most_ratio": 1.88,
            "processes": [
                {"name": "gateway", "cpu_ratio": 0.72, "cpu_most_ratio": 0.99},
                {"name": "postgres", "cpu_ratio": 0.41, "cpu_most_ratio": 0.83},
                {"name": "redis-cache", "cpu_ratio": 0.03, "cpu_most_ratio": 0.06},
            ],
        },
        "objectives": [
            {
                "id": "slo:feed-fast", "name": "feed-fast", "title": "Home feed is fast",
                "service": "threads", "labels": {"name": FEED},
                "good_when": "latency <= 300ms and outcome in (full, degraded)", "target": 0.99,
                "value": 0.9961, "good": 1478, "bad": 6, "total": 1484, "budget_spent": 0.404,
                "status": "pass", "message": "99.61% of 1484 were good", "annotations": {},
            }
        ],
        "degradation": [
            _cell(endpoint[0], endpoint[1], fault[0], recipe)
            for endpoint in recipe.endpoints for fault in FAULTS
        ],
        "notes": ["Server-side series are the harness's own scrape: no Prometheus was found."],
        "windows": [],
        "provenance": _provenance(),
    }  # fmt: skip


def _waits(requests: int) -> dict[str, object]:
    times = {"p50": 0.031, "p95": 0.21, "p99": 0.64, "max": 1.9}
    waits = {"p50": 0.0002, "p95": 0.0011, "p99": 0.0021, "max": 0.0402}
    return {
        "requests": requests, "waited": 3, "never_sent": 0, "wait": waits,
        "response_time": times, "service_time": times, "is_limited": False,
    }  # fmt: skip


def _process(number: int) -> dict[str, object]:
    return {
        "generator": number, "cpu_ratio": 0.41, "cpu_most_ratio": 0.58, "cores": 4,
        "busy_ratio": 0.52, "steal_ratio": 0.004,
        "lag": {"p50": 0.0002, "p95": 0.0011, "p99": 0.0021, "max": 0.0402},
        "loop_lag_p99_s": 0.0031, "gc_pauses": 41, "gc_longest_s": 0.0042, "gc_total_s": 0.02,
        "files_most": 214, "files_limit": 1024, "ports_most": 640, "ports_limit": 28232,
        "in_flight_most": 180, "waited": 0, "blocked": [],
    }  # fmt: skip


def _endpoint(
    recipe: Recipe, counts: Mapping[str, int], name: str, tier: str, weight: int, median_s: float
) -> dict[str, object]:
    outcomes = {str(word): counts.get(f"{name} {word}", 0) for word in Outcome}
    times = {"p50": median_s, "p95": median_s * 4, "p99": median_s * 9, "max": median_s * 14}
    return {
        "name": name, "tier": tier, "count": sum(outcomes.values()), "outcomes": outcomes,
        "response_time": times, "service_time": times,
    }  # fmt: skip


def _cell(name: str, tier: str, fault: str, recipe: Recipe) -> dict[str, object]:
    def signs(p99_s: float, error: float, shed: float, degraded: float) -> dict[str, object]:
        return {
            "n": 180, "p50_s": p99_s / 5, "p95_s": p99_s / 2, "p99_s": p99_s, "error_ratio": error,
            "shed_ratio": shed, "degraded_ratio": degraded, "yield_ratio": 1 - error - shed,
        }  # fmt: skip

    quiet = signs(0.08, 0.0, 0.0, 0.0)
    during = quiet
    if fault == "pg-slow" and name != "GET /v1/trending":
        during = signs(0.22, 0.0, 0.0, 0.0)
    if fault == "redis-down" and name in {FEED, "GET /v1/trending"}:
        during = signs(recipe.redis_p99_s, 0.004, 0.04, 0.93)
    return {
        "endpoint": name, "tier": tier, "fault": fault, "before": quiet, "during": during,
        "after": quiet, "p99_change_s": 0.0,
    }  # fmt: skip


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., RunFolder]:
    """Return a function that writes a run folder; its arguments are those of a `Recipe`."""

    def build(**parts: Any) -> RunFolder:
        return make_run(tmp_path, Recipe(**parts))

    return build


@pytest.fixture(name="sample_row")
def sample_row_fixture() -> Callable[..., dict[str, object]]:
    return sample_row


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of some 4,000 requests; tests must not change it."""
    return make_run(tmp_path_factory.mktemp("runs"))
