"""The page as data: everything that the template shows, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from surgeproof import __version__
from surgeproof.model.result import LedgerCounts
from surgeproof.report.accounts import FaultRow, fault_rows, provenance_groups
from surgeproof.report.chart_sections import (
    EndpointSection,
    Picture,
    ServerSection,
    TimelineSection,
    endpoint_section,
    heatmap_section,
    server_section,
    timeline_section,
)
from surgeproof.report.effects import Effect, effect_of
from surgeproof.report.gate_view import GateView
from surgeproof.report.result_file import Degradation, Objective, ReasonText
from surgeproof.report.run import Run
from surgeproof.report.sentences import Headline, findings, headline
from surgeproof.report.trust import Sessions, Trust, client_limited, sessions_of, trust_of
from surgeproof.report.wording import plain, span_text

__all__ = ["Page", "build_page"]

_MOST_REASONS = 8
_CONTENTS = (
    ("timeline", "Timeline"),
    ("gates", "Gates"),
    ("degradation", "Degradation"),
    ("faults", "Faults"),
    ("objectives", "Objectives"),
    ("generator", "Trust"),
    ("ledger", "Ledger"),
    ("endpoints", "Endpoints"),
    ("heatmap", "Heatmap"),
    ("server", "Server side"),
    ("provenance", "Provenance"),
    ("methods", "Methods"),
)


@dataclass(frozen=True, slots=True)
class MatrixRow:
    endpoint: str
    tier: str
    cells: tuple[Effect | None, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Endpoints down, faults across."""

    faults: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template shows. Strings are not yet escaped: the template does that."""

    id: str
    name: str
    version: str
    is_judged: bool
    headline: Headline
    about: tuple[tuple[str, str], ...]
    findings: tuple[str, ...]
    reasons: tuple[ReasonText, ...]
    more_reasons: int
    contents: tuple[tuple[str, str], ...]
    gates: tuple[GateView, ...]
    timeline: TimelineSection
    matrix: Matrix
    faults: tuple[FaultRow, ...]
    objectives: tuple[Objective, ...]
    trust: Trust
    client_limited: str
    sessions: Sessions | None
    ledger: tuple[tuple[str, LedgerCounts, bool], ...]
    endpoints: EndpointSection
    heatmap: Picture
    server: ServerSection
    notes: tuple[str, ...]
    provenance: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    effective: str


def build_page(run: Run) -> Page:
    """Return the page of a run; the same run folder gives the same page."""
    result = run.result
    return Page(
        id=run.id,
        name=plain(run.name),
        version=__version__,
        is_judged=result is not None,
        headline=headline(run),
        about=_about(run),
        findings=findings(run),
        reasons=result.reasons[:_MOST_REASONS] if result else (),
        more_reasons=max(len(result.reasons) - _MOST_REASONS, 0) if result else 0,
        contents=_CONTENTS,
        gates=result.gates if result else (),
        timeline=timeline_section(run),
        matrix=_matrix(result.degradation if result else ()),
        faults=fault_rows(run),
        objectives=result.objectives if result else (),
        trust=trust_of(run),
        client_limited=client_limited(run),
        sessions=sessions_of(run),
        ledger=_ledger(result.ledger if result else {}),
        endpoints=endpoint_section(run),
        heatmap=heatmap_section(run),
        server=server_section(run),
        notes=(*(result.notes if result else ()), *run.problems),
        provenance=provenance_groups(run.provenance),
        effective=run.effective,
    )


def _about(run: Run) -> tuple[tuple[str, str], ...]:
    result = run.result
    rows = [("rehearsal", plain(run.name)), ("run", run.id)]
    started = result.started_at if result else _first_wall(run)
    rows += [("started", _when(started))] if started else []
    rows += [("lasted", span_text(max((phase.end_s for phase in run.phases), default=run.end_s)))]
    commit = run.provenance.get("git_commit")
    if commit:
        changed = " with local changes" if run.provenance.get("git_dirty") else ""
        rows.append(("commit", str(commit)[:12] + changed))
    if result:
        rows += [("seed", result.seed), ("exit code", str(result.exit_code))]
    return tuple(rows)


def _first_wall(run: Run) -> str:
    """Return the wall clock of the first phase's start, or else of the first event."""
    begun = [event.wall for event in run.events if event.event == "phase.started"]
    return next(iter(begun or [event.wall for event in run.events]), "")


def _when(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return plain(text)
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _matrix(cells: Sequence[Degradation]) -> Matrix:
    faults = tuple(dict.fromkeys(cell.fault for cell in cells))
    endpoints = dict.fromkeys((cell.endpoint, cell.tier) for cell in cells)
    effects = {(cell.endpoint, cell.fault): effect_of(cell) for cell in cells}
    rows = tuple(
        MatrixRow(endpoint, tier, tuple(effects.get((endpoint, fault)) for fault in faults))
        for endpoint, tier in endpoints
    )
    return Matrix(faults, rows)


def _ledger(ledger: Mapping[str, LedgerCounts]) -> tuple[tuple[str, LedgerCounts, bool], ...]:
    return tuple(
        (
            kind,
            counts,
            bool(counts.acked) and not (counts.lost or counts.duplicated or counts.unread),
        )
        for kind, counts in ledger.items()
    )
