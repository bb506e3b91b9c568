"""Locust as the harness runs it: a subprocess that follows an order and journals."""

from __future__ import annotations

import csv
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeproof.load.locust_process import generator_environment, read_back_command
from surgeproof.load.schedule import build_schedule

pytestmark = pytest.mark.integration

# What the conftest's fixtures make; its classes cannot be imported from here.
Target = Any
StartRun = Callable[..., Any]

STALL_S = 1.0
# Of a whole second: a busy machine may serve the last requests of a stall this much later.
SLACK_S = 0.25


def test_every_scheduled_arrival_is_sent_and_journalled(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url)
    run.begin()
    assert run.wait() == 0, run.output()
    samples, schedule = run.samples, build_schedule(run.order.load, run.order.seed)
    assert len(samples) + len(run.drops) == len(schedule) == 150
    np.testing.assert_allclose(samples.intended_s, schedule.times_s, atol=1e-6)
    assert samples.outcome.words == ("full",)
    assert set(samples.name.words) == {"GET /a", "POST /b"}
    assert sum(target.seen.values()) == 150 + 1  # and the preparation
    assert np.all(samples.start_s >= samples.intended_s)
    assert np.all(samples.end_s >= samples.first_byte_s)


def test_the_pulse_says_each_second_how_it_goes_and_ends_with_the_whole(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url)
    run.begin()
    assert run.wait() == 0, run.output()
    pulses = [json.loads(line) for line in run.lines("pulse")]
    assert len(pulses) >= 3
    last = pulses[-1]
    assert last["end"] is True
    assert last["scheduled"] == last["sent"] + last["dropped"] == 150
    assert (last["completed"], last["in_flight"], last["queued"]) == (150, 0, 0)
    assert all(pulse["cpu_ratio"] > 0 for pulse in pulses)
    assert last["loop_lag_p99_s"] > 0


def test_locusts_own_statistics_equal_the_journal(
    target: Target, start_run: StartRun, tmp_path: Path
) -> None:
    run = start_run(target.url, csv=tmp_path / "locust")
    run.begin()
    assert run.wait() == 0, run.output()
    with (tmp_path / "locust_stats.csv").open() as file:
        rows = {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}
    samples = run.samples
    for name in samples.name.words:
        method, _, path = name.partition(" ")
        mine = samples.name.equal(name)
        theirs = rows[method, path]
        assert int(theirs["Request Count"]) == int(mine.sum())
        assert int(theirs["Failure Count"]) == 0
        mean_ms = float(samples.response_time_s[mine].mean()) * 1e3
        assert float(theirs["Average Response Time"]) == pytest.approx(mean_ms, rel=1e-6)
    assert int(rows["", "Aggregated"]["Request Count"]) == 150


def test_a_stall_is_seen_by_every_arrival_that_fell_into_it(
    target: Target, start_run: StartRun
) -> None:
    target.stall_s = STALL_S
    run = start_run(target.url, rate=100, duration_s=4)
    run.begin()
    target.stall_at = run.t0 + 1.0
    assert run.wait() == 0, run.output()
    samples = run.samples
    response = samples.response_time_s
    # 100 of 400 arrivals met the stall, each for what was left of it: their median is half.
    hit = (samples.intended_s > 1.02) & (samples.intended_s < 1.98)
    assert abs(float(np.median(response[hit])) - STALL_S / 2) < SLACK_S
    assert float(np.quantile(response, 0.99)) > STALL_S - SLACK_S
    later = samples.intended_s > 2.5
    assert float(np.median(samples.service_time_s[later])) < SLACK_S / 5
    assert len(samples) == 400


def test_waiting_for_a_connection_is_response_time_and_not_service_time(
    target: Target, start_run: StartRun
) -> None:
    target.stall_s = STALL_S
    run = start_run(target.url, rate=100, duration_s=4, connections=2)
    run.begin()
    target.stall_at = run.t0 + 1.0
    assert run.wait() == 0, run.output()
    samples = run.samples
    queued = (samples.intended_s > 1.1) & (samples.intended_s < 1.9)
    # Two requests were stuck in the stall; all others waited in the client for their connections.
    assert float(np.median(samples.response_time_s[queued])) > STALL_S / 2 - SLACK_S
    assert float(np.median(samples.service_time_s[queued])) < SLACK_S / 5
    last = json.loads(run.lines("pulse")[-1])
    assert 80 <= last["late"] < 300
    assert len(samples) == 400


def test_arrivals_beyond_the_bound_are_dropped_and_counted(
    target: Target, start_run: StartRun
) -> None:
    target.stall_s = STALL_S
    run = start_run(target.url, rate=100, duration_s=3, max_in_flight=20)
    run.begin()
    target.stall_at = run.t0 + 1.0
    assert run.wait() == 0, run.output()
    drops = run.drops
    assert len(run.samples) + len(drops) == 300
    assert 40 <= len(drops) <= 100
    assert np.all((drops.intended_s > 1.0) & (drops.intended_s < 1.0 + STALL_S + SLACK_S))
    last = json.loads(run.lines("pulse")[-1])
    assert (last["sent"], last["dropped"]) == (len(run.samples), len(drops))


def test_sigterm_stops_sending_and_flushes_within_three_seconds(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, duration_s=60)
    run.begin()
    time.sleep(2.2)
    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0, run.output()
    assert time.monotonic() - asked < 3.0
    last = json.loads(run.lines("pulse")[-1])
    assert last["end"] is True
    assert last["scheduled"] == last["sent"] + last["dropped"]
    assert len(run.samples) == last["sent"] == sum(target.seen.values()) - 1
    assert 50 < len(run.samples) < 60 * 50


def test_sigterm_while_waiting_for_the_start_ends_the_process(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url)
    while not any(run.folder.glob("ready-*")):
        assert run.process.poll() is None, run.output()
        time.sleep(0.01)
    run.process.send_signal(signal.SIGTERM)
    run.process.wait(5)
    assert len(run.samples) == 0


def test_a_kill_loses_no_more_than_the_last_seconds(target: Target, start_run: StartRun) -> None:
    run = start_run(target.url, duration_s=60)
    run.begin()
    time.sleep(4.5)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    served = sum(target.seen.values()) - 1
    assert served - len(run.samples) <= 50 * 2.5
    assert len(run.samples) > 50


def test_a_target_that_refuses_makes_every_arrival_an_error(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, duration_s=2)
    run.begin()
    target.close()
    assert run.wait() == 0, run.output()
    samples = run.samples
    assert len(samples) + len(run.drops) >= 100  # attempts: a broken keep-alive is tried again
    last = json.loads(run.lines("pulse")[-1])
    assert last["scheduled"] == last["sent"] + last["dropped"] == 100
    assert samples.outcome.words == ("error",)
    assert "refused" in samples.error_kind.words


def test_failures_show_in_locusts_statistics_and_not_in_the_exit_code(
    target: Target, start_run: StartRun, tmp_path: Path
) -> None:
    run = start_run(target.url, duration_s=1, csv=tmp_path / "locust")
    run.begin()
    target.status = b"500 Oops"
    assert run.wait() == 0, run.output()
    with (tmp_path / "locust_stats.csv").open() as file:
        total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    assert total["Failure Count"] == total["Request Count"] == "50"
    assert run.samples.error_kind.words == ("status_500",)


def test_secret_headers_go_with_every_request_and_are_journalled_nowhere(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, duration_s=1, headers={"Authorization": "Bearer hush-hush"})
    run.begin()
    assert run.wait() == 0, run.output()
    assert all(b"Authorization: Bearer hush-hush" in head for head in target.headers)
    for path in run.folder.parent.rglob("*"):
        if path.is_file():
            assert b"hush-hush" not in path.read_bytes(), path


def test_the_ledger_is_read_back_through_the_target(target: Target, start_run: StartRun) -> None:
    run = start_run(target.url, duration_s=2)
    run.begin()
    assert run.wait() == 0, run.output()
    written = {json.loads(line)["key"] for line in run.lines("ledger")}
    assert len(written) == int(run.samples.name.equal("POST /b").sum())
    lost, twice = sorted(written)[:2]
    target.seen[f"/b/{lost}"] = 0
    target.seen[f"/b/{twice}"] = 2
    order = run.folder.parent / "load.json"
    environment = generator_environment(os.environ, order, {})
    subprocess.run(read_back_command(order), env=environment, check=True, timeout=60)
    found = json.loads((run.folder.parent / "read_back.json").read_text())["post"]
    assert set(found) == written
    assert (found[lost], found[twice]) == ([0, 0], [2, 2])
    assert {tuple(found[key]) for key in written - {lost, twice}} == {(1, 1)}


def test_the_scenarios_own_weights_decide_without_a_mix(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, duration_s=2, names={})
    run.begin()
    assert run.wait() == 0, run.output()
    share = float(run.samples.name.equal("GET /a").mean())
    assert 0.5 < share < 0.85  # 1 to 0.5: two thirds of 100


def test_a_journey_that_the_scenario_lacks_ends_the_run_before_it_starts(
    target: Target, start_run: StartRun
) -> None:
    run = start_run(target.url, names={"GET /nowhere": 1.0})
    assert run.wait() == 2
    assert "has no journey 'GET /nowhere'" in run.output()
    assert not target.seen


def test_a_failed_preparation_ends_the_run_before_it_starts(
    target: Target, start_run: StartRun
) -> None:
    target.status = b"500 Oops"
    run = start_run(target.url)
    assert run.wait() == 1
    assert "AssertionError" in run.output()
    assert not any(run.folder.glob("ready-*"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    key, bundle = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(bundle), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, key)
    return bundle, context


def test_tls_is_spoken_with_a_server_that_the_bundle_vouches_for(
    make_target: Callable[..., Target],
    start_run: StartRun,
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    bundle, context = certificate
    target = make_target(context)
    run = start_run(target.url, duration_s=1, ca_bundle=bundle)
    run.begin()
    assert run.wait() == 0, run.output()
    assert run.samples.outcome.words == ("full",)


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(
    make_target: Callable[..., Target],
    start_run: StartRun,
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    target = make_target(certificate[1])
    run = start_run(target.url, duration_s=1)
    assert run.wait() == 1
    assert "AssertionError: tls" in run.output()
    assert not target.seen


def test_the_schedule_needs_neither_locust_nor_gevent() -> None:
    code = (
        "import sys, surgeproof.load, surgeproof.load.schedule, surgeproof.load.handover,"
        " surgeproof.load.k6; print(sorted({'locust', 'gevent'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "[]"
