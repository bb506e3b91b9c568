from __future__ import annotations

from surgeproof.observe.exporter import HARNESS_METRICS, LiveMetrics
from surgeproof.observe.exposition import Exposition


def _values(metrics: LiveMetrics) -> dict[tuple[str, ...], float]:
    return {
        (reading.key.name, *(value for _, value in reading.key.labels)): reading.value
        for reading in Exposition().read(metrics.render())
    }


def _pulse(t_s: float, scheduled: int, **fields: float | None) -> dict[str, float | None]:
    return {"t_s": t_s, "scheduled": scheduled, "sent": scheduled - 1, "dropped": 1, **fields}


def test_a_fault_is_one_while_it_lasts_and_zero_after() -> None:
    metrics = LiveMetrics()
    metrics.set_fault('odd "name"', active=True)
    assert _values(metrics) == {("surgeproof_fault_active", 'odd "name"'): 1.0}
    metrics.set_fault('odd "name"', active=False)
    assert _values(metrics) == {("surgeproof_fault_active", 'odd "name"'): 0.0}


def test_pulses_of_all_generators_add_up_and_the_slowest_p99_counts() -> None:
    metrics = LiveMetrics()
    for generator, p99_s in ((0, 0.1), (1, 0.3)):
        metrics.note_pulse(generator, _pulse(1.0, 10, p99_s=p99_s, in_flight=2, cpu_ratio=0.2))
        metrics.note_pulse(generator, _pulse(3.0, 70, p99_s=p99_s, in_flight=4, cpu_ratio=0.4))
    values = _values(metrics)
    assert values["surgeproof_arrivals_total", "scheduled"] == 140
    assert values["surgeproof_arrivals_total", "dropped"] == 2
    assert values["surgeproof_offered_rate",] == 60.0
    assert values["surgeproof_response_time_seconds", "0.99"] == 0.3
    assert values["surgeproof_in_flight",] == 8
    assert values["surgeproof_generator_cpu_ratio",] == 0.4


def test_a_quantile_without_samples_is_absent_and_not_zero() -> None:
    metrics = LiveMetrics()
    metrics.note_pulse(0, _pulse(1.0, 10, p99_s=0.2))
    metrics.note_pulse(0, _pulse(2.0, 10, p99_s=None))
    assert ("surgeproof_response_time_seconds", "0.99") not in _values(metrics)


def test_one_pulse_alone_gives_no_rate() -> None:
    metrics = LiveMetrics()
    metrics.note_pulse(0, _pulse(1.0, 10))
    assert ("surgeproof_offered_rate",) not in _values(metrics)


def test_every_metric_of_the_list_is_exported_once_it_is_known() -> None:
    metrics = LiveMetrics()
    metrics.set_fault("pg-slow", active=True)
    metrics.set_phase("surge", active=True)
    for t_s in (1.0, 2.0):
        metrics.note_pulse(0, _pulse(t_s, 10, p99_s=0.1, in_flight=1, cpu_ratio=0.1))
    page = metrics.render()
    assert {name for name, *_ in _values(metrics)} == set(HARNESS_METRICS)
    assert all(f"# TYPE {name} {kind}" in page for name, (kind, _) in HARNESS_METRICS.items())
