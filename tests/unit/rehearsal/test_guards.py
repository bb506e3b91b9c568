"""Guards are judged on the samples so far, and only on the stretch that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeproof.journal.samples import SAMPLE_SCHEMA, BatchWriter
from surgeproof.model.plan import Gate
from surgeproof.rehearsal.guards import GuardWatch
from surgeproof.slo.notation import parse_gate


def _write(folder: Path, outcomes: dict[float, str]) -> None:
    with BatchWriter(folder / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
        for intended_s, outcome in outcomes.items():
            row: dict[str, object] = dict.fromkeys(SAMPLE_SCHEMA.names)
            writer.add(
                row
                | {
                    "intended_s": intended_s,
                    "start_s": intended_s,
                    "end_s": intended_s + 0.01,
                    "step": 1,
                    "attempt": 1,
                    "name": "GET /",
                    "outcome": outcome,
                    "status": 200,
                }
            )


def _watch(folder: Path, guard: str) -> GuardWatch:
    gates: list[Gate] = [parse_gate(guard, id="guard", source="plan.yaml:1")]
    return GuardWatch(gates, folder, endpoints=(), phases=(), cpu_time=lambda: 0.0)


def test_a_guard_breaks_when_the_last_stretch_breaches_it(tmp_path):
    _write(tmp_path, {second: "error" if second >= 10 else "full" for second in range(20)})
    breach = _watch(tmp_path, "http.errors: rate < 50% over 10s").breached(20.0)
    assert breach is not None
    assert breach.value == pytest.approx(1.0)


def test_what_broke_a_guard_and_is_over_does_not_abort_any_more(tmp_path):
    _write(tmp_path, {second: "error" if second < 10 else "full" for second in range(20)})
    assert _watch(tmp_path, "http.errors: rate < 50% over 10s").breached(20.0) is None


def test_a_guard_waits_until_its_stretch_is_full(tmp_path):
    _write(tmp_path, dict.fromkeys(range(5), "error"))
    assert _watch(tmp_path, "http.errors: rate < 50% over 10s").breached(5.0) is None


def test_a_guard_is_judged_about_once_a_second(tmp_path):
    _write(tmp_path, dict.fromkeys(range(20), "full"))
    watch = _watch(tmp_path, "http.errors: rate < 50% over 10s")
    assert watch.breached(20.0) is None
    _write(tmp_path, dict.fromkeys(range(20), "error"))
    assert watch.breached(20.5) is None
    assert watch.breached(21.1) is not None


def test_reading_a_long_run_is_rationed_by_what_it_costs(tmp_path):
    _write(tmp_path, dict.fromkeys(range(20), "full"))
    cpu = iter([0.0, 0.5])
    gates = [parse_gate("http.errors: rate < 50%", id="guard", source="")]
    watch = GuardWatch(gates, tmp_path, endpoints=(), phases=(), cpu_time=lambda: next(cpu))
    assert watch.breached(20.0) is None
    _write(tmp_path, dict.fromkeys(range(20), "error"))
    # Half a second of work at a share of a tenth: the next look is five seconds later, and the
    # clock of the processor is not even asked before.
    assert watch.breached(24.9) is None


def test_no_samples_break_nothing(tmp_path):
    assert _watch(tmp_path, "http.errors: rate < 50%").breached(1.0) is None


def test_without_guards_nothing_is_read(tmp_path):
    watch = GuardWatch((), tmp_path / "missing", endpoints=(), phases=())
    assert watch.breached(1.0) is None
