"""The result as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass

from benchmarks.machine import Machine
from benchmarks.measurement import Extent, OpenRow, StallRow
from benchmarks.pinned import Cores
from benchmarks.stall import ResponseTimes

__all__ = ["Result"]

_SCHEMA = 1
_OURS = "surgeproof"


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one call of the benchmarks found; ``skipped`` maps a tool to the reason."""

    machine: Machine
    extent: Extent
    cores: Cores
    load_average: tuple[float, float]
    open: tuple[OpenRow, ...]
    truth: ResponseTimes
    truth_in_stall: int
    stall: tuple[StallRow, ...]
    skipped: Mapping[str, str]

    @property
    def timer(self) -> str:
        """What woke the engine: timerfd or loop timer."""
        return ", ".join(sorted({run.timer for row in self.open for run in row.runs if run.timer}))

    def ratios(self) -> dict[str, float]:
        """Return each peer over surgeproof, and what each says over the truth under the stall."""
        ours = {row.rate_per_s: row for row in self.open if row.tool == _OURS}
        found: dict[str, float] = {}
        for row in self.open:
            own = ours[row.rate_per_s]
            if row is own:
                continue
            place = f"at {row.rate_per_s:g}/s: {row.tool} / {_OURS}"
            found[f"lag p99 {place}"] = row.lag_p99_s / own.lag_p99_s
            found[f"busiest 10 ms {place}"] = row.busiest_bin_ratio / own.busiest_bin_ratio
            found[f"CPU {place}"] = row.cpu_s / own.cpu_s
        for stalled in self.stall:
            found[f"p90 under stall: {stalled.tool} / truth"] = stalled.p90_s / self.truth.p90_s
        return found

    def to_json(self) -> str:
        """Return everything, each single run included; an infinite time is null."""
        data = {
            "schema": _SCHEMA,
            "timer": self.timer,
            **{name: getattr(self, name) for name in self.__slots__},
            "ratios": self.ratios(),
        }
        return json.dumps(_plain(data), indent=1, allow_nan=False) + "\n"

    def to_text(self) -> str:
        """Return the page that is printed."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        machine, extent = self.machine, self.extent
        yield f"{machine.date} · {machine.system}, {machine.cores} cores · {machine.python}"
        yield f"Python build: {machine.python_build}"
        yield "versions: " + ", ".join(f"{name} {each}" for name, each in machine.versions.items())
        before, after = self.load_average
        yield (
            f"generator on core {_core(self.cores.generator)}, server on core"
            f" {_core(self.cores.server)} · load average {before:.1f} before, {after:.1f} after"
        )
        yield f"timer that woke surgeproof's engine: {self.timer}"
        yield f"medians of {extent.repetitions}"
        yield ""
        yield f"Open schedule, {extent.open_duration_s:g} s, at the server"
        yield from _table(
            ("tool", "asked", "held", "lag p50", "lag p99 (range)", "busiest 10 ms", "CPU"),
            [_open_cells(row) for row in self.open],
        )
        yield ""
        stall = extent.stall
        yield (
            f"Server stands still {stall.length_s:g} s of every {stall.every_s:g} s,"
            f" {extent.stall_rate_per_s:g}/s for {extent.stall_duration_s:g} s, as reported"
        )
        yield from _table(
            ("tool", "p50", "p90", "p99", "max", "sent", "into the stall"),
            [
                _times_cells("truth", self.truth, self.truth_in_stall),
                *(_stall_cells(row) for row in self.stall),
            ],
        )
        for name, reason in self.skipped.items():
            yield f"{name}: skipped, {reason}"
        yield ""
        yield "Ratios"
        yield from _table((), [(name, f"{ratio:.3g}") for name, ratio in self.ratios().items()])


def _core(number: int | None) -> str:
    return "any (no taskset)" if number is None else str(number)


def _open_cells(row: OpenRow) -> tuple[str, ...]:
    lags = sorted(run.evenness.lag_p99_s for run in row.runs)
    return (
        row.tool,
        f"{row.rate_per_s:g}/s",
        f"{row.held_per_s:.1f}/s",
        _ms(row.middle(lambda run: run.evenness.lag_p50_s)),
        f"{_ms(row.lag_p99_s)} ({_ms(lags[0])} .. {_ms(lags[-1])})",
        f"{row.busiest_bin_ratio:.2f} x",
        f"{row.cpu_s:.2f} s",
    )


def _stall_cells(row: StallRow) -> tuple[str, ...]:
    times = ResponseTimes(
        sent=round(row.middle(lambda run: run.arrived)),
        p50_s=row.middle(lambda run: run.reported.p50_s),
        p90_s=row.p90_s,
        p99_s=row.middle(lambda run: run.reported.p99_s),
        max_s=row.middle(lambda run: run.reported.max_s),
    )
    return _times_cells(row.tool, times, round(row.middle(lambda run: run.arrived_in_stall)))


def _times_cells(name: str, times: ResponseTimes, in_stall: int) -> tuple[str, ...]:
    quantiles = (times.p50_s, times.p90_s, times.p99_s, times.max_s)
    return (name, *(_ms(each) for each in quantiles), str(times.sent), str(in_stall))


def _ms(duration_s: float) -> str:
    duration_ms = duration_s * 1e3
    return f"{duration_ms:.2f} ms" if duration_ms < 10 else f"{duration_ms:.0f} ms"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay cells out in columns, the first to the left and the others to the right."""
    lines = [head, *rows] if head else list(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        name, *cells = line
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *padded))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
