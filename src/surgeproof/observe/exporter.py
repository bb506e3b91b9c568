"""The harness' own live metrics during a run, on a loopback ``/metrics``.

With them a Prometheus that scrapes the target also knows what was offered and which fault was on,
so Grafana draws fault bands without its own API::

    surgeproof_fault_active{fault=}          1 while a fault is on, 0 before and after
    surgeproof_phase_active{phase=}          1 during a phase
    surgeproof_arrivals_total{fate=}         scheduled | sent | dropped
    surgeproof_requests_total{result=}       completed | failed
    surgeproof_offered_rate                  arrivals scheduled per second, last pulse
    surgeproof_response_time_seconds{quantile="0.99"}   from the intended start, rolling 5 s
    surgeproof_in_flight, surgeproof_generator_cpu_ratio
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from surgeproof.observe.exposition import render_labels

__all__ = ["HARNESS_METRICS", "Exporter", "LiveMetrics"]

# Name → (type, help): the closed list of what the harness exports.
HARNESS_METRICS: Mapping[str, tuple[str, str]] = {
    "surgeproof_fault_active": ("gauge", "1 while a fault is on."),
    "surgeproof_phase_active": ("gauge", "1 while a phase of the load lasts."),
    "surgeproof_arrivals_total": ("counter", "Arrivals by fate, late ones are among the sent."),
    "surgeproof_requests_total": ("counter", "Requests by result."),
    "surgeproof_offered_rate": ("gauge", "Arrivals scheduled per second, of the last pulse."),
    "surgeproof_response_time_seconds": ("gauge", "Rolling quantile from the intended start."),
    "surgeproof_in_flight": ("gauge", "Requests sent and not answered yet."),
    "surgeproof_generator_cpu_ratio": ("gauge", "CPU seconds per second, busiest generator."),
}
_PATIENCE_S = 5.0

Labels = tuple[tuple[str, str], ...]


class LiveMetrics:
    """What is exported now; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, Labels], float] = {}
        self._pulses: dict[int, Mapping[str, float | None]] = {}
        self._rates: dict[int, float] = {}

    def set_fault(self, fault: str, *, active: bool) -> None:
        self._set("surgeproof_fault_active", float(active), fault=fault)

    def set_phase(self, phase: str, *, active: bool) -> None:
        self._set("surgeproof_phase_active", float(active), phase=phase)

    def note_pulse(self, generator: int, pulse: Mapping[str, float | None]) -> None:
        """Take a generator's pulse line (cumulative counts); lines must come in order."""
        with self._lock:
            before = self._pulses.get(generator)
            self._pulses[generator] = dict(pulse)
            if before is not None:
                passed_s = _number(pulse, "t_s") - _number(before, "t_s")
                if passed_s > 0:
                    new = _number(pulse, "scheduled") - _number(before, "scheduled")
                    self._rates[generator] = new / passed_s
            self._sum_up()

    def render(self) -> str:
        """Return the page in the Prometheus text format."""
        with self._lock:
            values = sorted(self._values.items())
        lines: list[str] = []
        for name, (kind, summary) in HARNESS_METRICS.items():
            found = [(labels, value) for (metric, labels), value in values if metric == name]
            if found:
                lines += [f"# HELP {name} {summary}", f"# TYPE {name} {kind}"]
                lines += [f"{name}{render_labels(dict(labels))} {v!r}" for labels, v in found]
        return "\n".join(lines) + "\n"

    def _set(self, name: str, value: float, **labels: str) -> None:
        with self._lock:
            self._values[name, tuple(labels.items())] = value

    def _sum_up(self) -> None:
        """Refresh the totals over all generators; the lock is held."""
        pulses = list(self._pulses.values())

        def total(field: str) -> float:
            return sum(_number(pulse, field) for pulse in pulses)

        for fate in ("scheduled", "sent", "dropped"):
            self._values["surgeproof_arrivals_total", (("fate", fate),)] = total(fate)
        for result, field in (("completed", "completed"), ("failed", "errors")):
            self._values["surgeproof_requests_total", (("result", result),)] = total(field)
        self._values["surgeproof_in_flight", ()] = total("in_flight")
        if self._rates:
            self._values["surgeproof_offered_rate", ()] = sum(self._rates.values())
        # Quantiles of several generators cannot be merged; the slowest one is what hurts.
        worst = [value for pulse in pulses if (value := pulse.get("p99_s")) is not None]
        quantile = (("quantile", "0.99"),)
        if worst:
            self._values["surgeproof_response_time_seconds", quantile] = max(worst)
        else:
            self._values.pop(("surgeproof_response_time_seconds", quantile), None)
        busy = [value for pulse in pulses if (value := pulse.get("cpu_ratio")) is not None]
        if busy:
            self._values["surgeproof_generator_cpu_ratio", ()] = max(busy)


class Exporter:
    """Serves a `LiveMetrics` on ``http://127.0.0.1:<free port>/metrics`` from start to stop."""

    def __init__(self, metrics: LiveMetrics) -> None:
        self.metrics = metrics

        class Handler(_Handler):
            source = metrics

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="exporter",
            daemon=True,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/metrics"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(_PATIENCE_S)
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Handler(http.server.BaseHTTPRequestHandler):
    source: LiveMetrics
    timeout = _PATIENCE_S  # of the socket: a peer that stays silent does not keep a thread

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self.source.render().encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
        """Keep quiet: a scrape a second is no news."""


def _number(pulse: Mapping[str, float | None], field: str) -> float:
    return pulse.get(field) or 0.0
