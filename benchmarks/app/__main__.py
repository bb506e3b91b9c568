"""Measures the reference app and prints what was asked beside what was found."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.app.load import Rung, climb, hold
from benchmarks.app.stack import AppStack, Session, running_app
from benchmarks.machine import describe_machine, load_average

_PATIENCE_S = 30.0
# A cold reader has nothing built; the seeded accounts from here on have logged in nowhere else.
_FIRST_COLD, _COLD_READERS, _WARM_READS = 9000, 20, 50
_SETTLE_S = 1.0
_ACCOUNTS, _READERS_AT_ONCE = 10_000, 4
_FANOUT_SUM = "app_fanout_duration_seconds_sum"
_NEAR_KNEE = 0.6


@dataclass(frozen=True, slots=True)
class Row:
    """One number: what it is, what was asked, what was found."""

    what: str
    asked: str
    found: str


def main() -> int:
    """Run all measurements, print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app", description=__doc__)
    parser.add_argument("--out", type=Path, help="write the numbers to this file as JSON")
    options = parser.parse_args()
    # Not a folder below a private one: the database's own user must be able to pass.
    cache = Path(tempfile.mkdtemp(prefix="surgeproof-bench-", dir="/var/tmp"))
    cache.chmod(0o755)
    machine = describe_machine({})
    load = load_average()
    try:
        rows, rungs = _measure(cache / "measured", cache)
    finally:
        shutil.rmtree(cache)
    print(f"{machine.processor}, {machine.cores} cores, {machine.python}, {machine.date}")
    print(f"load average before: {load:.2f}")
    for row in rows:
        print(f"{row.what:<64} {row.asked:>12}  {row.found}")
    for rung in rungs:
        print(f"  {rung}")
    if options.out is not None:
        result = {
            "machine": asdict(machine),
            "load_average": load,
            "rows": [asdict(row) for row in rows],
            "rungs": [asdict(rung) for rung in rungs],
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure(runs: Path, cache: Path) -> tuple[list[Row], list[Rung]]:
    runs.mkdir()
    with running_app(runs, cache) as app:
        rows = [Row("ready with 10,000 users, cold", "< 12 s", f"{app.ready_s:.1f} s")]
        cold, warm = _feed_calls(app)
        rungs = climb(app.stack.base_url, runs / "climb")
        memory_mb = app.pss_mb()
        hop_ms = app.hop_cost_ms()
    knee = max(rung.goodput_per_s for rung in rungs)
    # From here on a fresh stack: what an overload left behind is not to be in these numbers.
    with running_app(runs, cache) as app:
        rows.append(Row("ready again, its database kept", "", f"{app.ready_s:.1f} s"))
        calls, served = app.dependency_calls(), _served(app)
        near = hold(app.stack.base_url, round(_NEAR_KNEE * knee), runs / "near", hold_s=30)
        per_request = (app.dependency_calls() - calls) / max(_served(app) - served, 1)
        quiet = hold(app.stack.base_url, 40, runs / "quiet", hold_s=30)
        loud = hold(app.stack.base_url, 40, runs / "loud", hold_s=30, scenario="celebrity_post")
    flags = runs / "push.json"
    flags.write_text(json.dumps(_pure_push()), encoding="utf-8")
    with running_app(runs, cache, {"APP_FLAGS": str(flags)}) as app:
        followers, targets, fanout_s = _fan_out(app)
    rows += [
        Row("memory, sum of PSS after the climb", "<= 1024 MB", f"{memory_mb:.0f} MB"),
        Row("knee, launch-mix requests/s, generator on the same cores", ">= 250", f"{knee:.0f}"),
        Row(f"home feed p95 at {near.offered_per_s:.0f}/s", "<= 100 ms", _ms(near.feed_p95_ms)),
        Row("dependency calls of a home feed, a first one", "<= 6", f"{cold:.1f}"),
        Row("dependency calls of a home feed, once built", "<= 6", f"{warm:.1f}"),
        Row("dependency calls of a request of the launch mix", "<= 6", f"{per_request:.1f}"),
        Row(f"fan-out: {followers} followers, {targets} pushed to", "<= 2 s", f"{fanout_s:.2f} s"),
        Row("p99 of all, without and with a celebrity's posts", "+ <= 20 %",
            f"{_ms(quiet.p99_ms)}, {_ms(loud.p99_ms)}"),
        Row("Toxiproxy's hop, median", "printed", f"{hop_ms:.3f} ms"),
    ]  # fmt: skip
    return rows, rungs


def _feed_calls(app: AppStack) -> tuple[float, float]:
    """Return the calls over edges that a home feed costs: a first one, and a later one."""
    readers = [app.log_in(_FIRST_COLD + number) for number in range(_COLD_READERS)]
    return (
        _calls_of(app, readers, 1),
        _calls_of(app, readers[:1], _WARM_READS),
    )


def _calls_of(app: AppStack, readers: list[Session], times: int) -> float:
    time.sleep(_SETTLE_S)
    before = app.dependency_calls()
    for reader in readers:
        for _ in range(times):
            app.ask("/v1/feed/home", reader.headers)
    return (app.dependency_calls() - before) / (len(readers) * times)


def _served(app: AppStack) -> float:
    return app.counted("gateway", "app_http_requests_total")


def _fan_out(app: AppStack) -> tuple[int, int, float]:
    """Let the most followed account post once, after everybody has read their feed.

    Only who reads has a timeline to push into. Returns the account's followers, the timelines
    pushed into, and the push's seconds.
    """
    with ThreadPoolExecutor(_READERS_AT_ONCE) as pool:
        list(pool.map(lambda number: _read_once(app, number), range(_ACCOUNTS)))
    pages = [
        json.loads(app.ask(f"/v1/users/{handle}", reader.headers)) for reader, handle in _heads(app)
    ]
    most = max(pages, key=lambda page: page["followers"])
    celebrity = app.log_in(int(most["handle"].removeprefix("u")))
    headers = {**celebrity.headers, "Idempotency-Key": uuid.uuid4().hex}
    app.ask("/v1/posts", headers, json.dumps({"text": "hello all of you"}).encode())
    started_s = time.monotonic()
    while not app.counted("worker", "app_fanout_duration_seconds_count"):
        if time.monotonic() - started_s > _PATIENCE_S:
            raise RuntimeError(f"no fan-out within {_PATIENCE_S:.0f} s of the post")
        time.sleep(0.05)
    targets = app.counted("worker", "app_fanout_targets_total")
    return most["followers"], int(targets), app.counted("worker", _FANOUT_SUM)


def _read_once(app: AppStack, number: int) -> None:
    # Who is refused under this rush has no timeline then, which the number of targets shows.
    with contextlib.suppress(OSError):
        app.ask("/v1/feed/home", app.log_in(number).headers)


def _heads(app: AppStack) -> list[tuple[Session, str]]:
    """Return a reader, and the handles that are in the most feeds of some."""
    readers = [app.log_in(number) for number in range(40)]
    handles = {
        post["handle"]
        for reader in readers
        for post in json.loads(app.ask("/v1/feed/home?limit=50", reader.headers))["items"]
    }
    return [(readers[0], handle) for handle in sorted(handles)]


def _pure_push() -> object:
    """Return the app's flags with a threshold that nobody reaches."""
    flags = json.loads(Path("target_app/flags.json").read_text(encoding="utf-8"))
    flags["flags"]["feed.celebrity_threshold"]["defaultVariant"] = "push_only"
    return flags


def _ms(value: float | None) -> str:
    return "not enough measured" if value is None else f"{value:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
