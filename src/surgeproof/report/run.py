"""A run as the report sees it: the run folder, read whole, with or without `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from surgeproof.errors import FormatError
from surgeproof.journal.events import Event, read_events
from surgeproof.journal.folder import RunFolder
from surgeproof.journal.pulses import PulseLine, read_pulses
from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.model.plan import Window
from surgeproof.model.result import FaultRecord
from surgeproof.model.samples import Drops, Samples
from surgeproof.report.fields import Fields
from surgeproof.report.result_file import RunResult, read_result

__all__ = ["Pulse", "Run", "ServerChart", "ServerSeries", "read_run"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """One second of a generator's own account of itself; None where it did not say."""

    t_s: float
    cpu_ratio: float | None
    loop_lag_p99_s: float | None
    lag_p99_s: float | None


@dataclass(frozen=True, slots=True)
class ServerSeries:
    """One line of a chart of the target's metrics."""

    label: str
    points: tuple[tuple[float, float], ...]  # (seconds since t0, value)


@dataclass(frozen=True, slots=True)
class ServerChart:
    """One server-side metric over the run."""

    title: str
    unit: str
    series: tuple[ServerSeries, ...]
    hidden: int  # series left out, as they were zero throughout


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a page needs. ``result`` is None for a run that ended before its verdict."""

    id: str
    result: RunResult | None
    samples: Samples
    drops: Drops
    events: tuple[Event, ...]
    pulses: tuple[Pulse, ...]
    phases: tuple[Window, ...]
    faults: tuple[FaultRecord, ...]
    provenance: Mapping[str, object]
    server_charts: tuple[ServerChart, ...]
    server_source: str  # where they come from, in words
    effective: str
    completed: int | None = None  # arrivals whose journey came to its end
    problems: tuple[str, ...] = field(default=())  # files that could not be read, in words

    @property
    def name(self) -> str:
        """The plan's name; without a result, the folder's name between its stamp and its id."""
        if self.result is not None:
            return self.result.name
        return "-".join(self.id.split("-")[1:-1]) or self.id

    @property
    def end_s(self) -> float:
        """Where the time axis ends: the last phase's end or the last sample, whichever is later."""
        ends = [phase.end_s for phase in self.phases]
        ends += [fault.cleared_at_s for fault in self.faults if fault.cleared_at_s is not None]
        for times in (self.samples.intended_s, self.samples.end_s, self.drops.intended_s):
            finite = times[times == times]  # noqa: PLR0124 - NaN is what differs from itself
            ends += [float(finite.max())] if len(finite) else []
        return max([*ends, 1.0])

    def fault_window(self, fault: FaultRecord) -> Window | None:
        """Return when a fault was in force; one never cleared lasts to the end of the axis."""
        if fault.applied_at_s is None:
            return None
        end_s = self.end_s if fault.cleared_at_s is None else fault.cleared_at_s
        return Window(f"fault:{fault.name}", fault.applied_at_s, end_s)


def read_run(folder: RunFolder) -> Run:
    """Read a run folder; files that are missing leave gaps, files that are broken `problems`."""
    events = tuple(read_events(folder.events))
    problems: list[str] = []
    result = None
    if folder.result.exists():
        result = read_result(Fields(folder.read_json("result.json"), "result.json"))
    samples, drops = _read_arrows(folder, problems)
    charts, source = _read_server_charts(folder, problems)
    pulses = read_pulses(folder.samples)
    return Run(
        id=folder.id,
        result=result,
        samples=samples,
        drops=drops,
        events=events,
        pulses=_pulses(pulses),
        phases=(result.phases if result else ()) or _phases_of(events, _last_s(samples)),
        faults=result.faults if result else _faults_of(events),
        provenance=_read_provenance(folder, result, problems),
        server_charts=charts,
        server_source=source,
        effective=_read_text(folder),
        completed=_completed(pulses),
        problems=tuple(problems),
    )


def _read_arrows(folder: RunFolder, problems: list[str]) -> tuple[Samples, Drops]:
    try:
        return read_samples(folder.samples), read_drops(folder.samples)
    except FormatError as error:
        problems.append(f"the samples could not be read: {_inside(error, folder)}")
        nowhere = folder.samples / "none"
        return read_samples(nowhere), read_drops(nowhere)


def _read_text(folder: RunFolder) -> str:
    if not folder.effective.exists():
        return ""
    return folder.effective.read_text(encoding="utf-8", errors="replace")


def _read_provenance(
    folder: RunFolder, result: RunResult | None, problems: list[str]
) -> Mapping[str, object]:
    if folder.provenance.exists():
        try:
            return folder.read_json("provenance.json")
        except FormatError as error:
            problems.append(_inside(error, folder))
    return result.provenance if result else {}


def _read_server_charts(
    folder: RunFolder, problems: list[str]
) -> tuple[tuple[ServerChart, ...], str]:
    path = folder.path / "server_metrics.json"
    if not path.exists():
        return (), ""
    try:
        data = Fields(folder.read_json("server_metrics.json"), "server_metrics.json")
        charts = tuple(
            ServerChart(
                panel.text("title"),
                panel.text("unit"),
                tuple(
                    ServerSeries(series.text("label"), _points(series))
                    for series in panel.parts("series")
                ),
                panel.count("hidden_zero_series"),
            )
            for panel in data.parts("panels")
        )
    except FormatError as error:
        problems.append(f"the server-side metrics could not be read: {_inside(error, folder)}")
        return (), ""
    return charts, data.text("source")


def _points(series: Fields) -> tuple[tuple[float, float], ...]:
    points = []
    for index, pair in enumerate(series.values("points")):
        if not isinstance(pair, list) or len(pair) != 2:
            raise FormatError(f"{series.where}.points[{index}] is {pair!r}; accepted: [t_s, value]")
        if pair[1] is not None:
            points.append((float(pair[0]), float(pair[1])))
    return tuple(points)


def _pulses(lines: Mapping[int, tuple[PulseLine, ...]]) -> tuple[Pulse, ...]:
    pulses = [
        Pulse(
            line.t_s,
            line.number("cpu_ratio"),
            line.number("loop_lag_p99_s"),
            line.number("lag_p99_s"),
        )
        for each in lines.values()
        for line in each
    ]
    return tuple(sorted(pulses, key=lambda pulse: pulse.t_s))


def _completed(lines: Mapping[int, tuple[PulseLine, ...]]) -> int | None:
    """Return the arrivals whose journey came to its end, by the generators' last word."""
    counts = [each[-1].count("completed") for each in lines.values() if each]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _last_s(samples: Samples) -> float:
    """Return when the last request was intended, which a killed run's events may not tell."""
    return float(samples.intended_s[-1]) if len(samples) else 0.0


def _phases_of(events: tuple[Event, ...], last_sample_s: float) -> tuple[Window, ...]:
    """Return the phases that the events tell of; one that never ended lasts to the last sign."""
    last_s = max([event.t_s for event in events] + [last_sample_s])
    started: dict[str, float] = {}
    ended: dict[str, float] = {}
    for event in events:
        if event.event == "phase.started":
            started.setdefault(_subject(event), event.t_s)
        elif event.event == "phase.ended":
            ended[_subject(event)] = event.t_s
    return tuple(
        Window(name, start_s, max(ended.get(name, last_s), start_s))
        for name, start_s in started.items()
    )


def _faults_of(events: tuple[Event, ...]) -> tuple[FaultRecord, ...]:
    """Return the faults that the events tell of, in order of their announcement."""
    first: dict[str, Event] = {}
    at: dict[tuple[str, str], float] = {}
    for event in events:
        if event.event.startswith("fault."):
            first.setdefault(_subject(event), event)
            at.setdefault((_subject(event), event.event), event.t_s)
    return tuple(
        FaultRecord(
            name=name,
            kind=str(event.fields.get("kind", "")),
            edge=str(event.fields.get("edge", "")),
            planned_at_s=event.t_s,
            applied_at_s=at.get((name, "fault.applied")),
            cleared_at_s=at.get((name, "fault.verified")),
            verified=(name, "fault.verified") in at,
            observed=None,
        )
        for name, event in first.items()
    )


def _subject(event: Event) -> str:
    """Return the name of the phase or fault that an event is about."""
    for key in ("name", "phase", "fault"):
        if key in event.fields:
            return str(event.fields[key])
    return event.event


def _inside(error: Exception, folder: RunFolder) -> str:
    """Return a message without the path of the machine that the report was made on."""
    return str(error).replace(f"{folder.path}/", "")
