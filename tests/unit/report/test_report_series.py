"""The series behind the charts, checked against hand-made samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from surgeproof.journal.folder import RunFolder
from surgeproof.journal.samples import DROP_SCHEMA, SAMPLE_SCHEMA, BatchWriter
from surgeproof.report.run import Run, read_run
from surgeproof.report.series import latency_grid, make_timeline

Row = tuple[float, float | None, str]
MakeRun = Callable[[Sequence[Row], Sequence[float]], Run]


@pytest.fixture
def run_of(tmp_path: Path, sample_row: Callable[..., dict[str, object]]) -> MakeRun:
    """Return a function that makes a run of (intended, time, outcome) rows and drops."""

    def build(rows: Sequence[Row], drops: Sequence[float] = ()) -> Run:
        folder = RunFolder(tmp_path)
        folder.samples.mkdir()
        with BatchWriter(folder.samples / "samples-0.arrow", SAMPLE_SCHEMA) as writer:
            for at_s, time_s, outcome in rows:
                writer.add(sample_row("GET /", "T0", at_s, time_s, outcome))
        with BatchWriter(folder.samples / "drops-0.arrow", DROP_SCHEMA) as writer:
            for at_s in drops:
                writer.add({"intended_s": at_s, "name": "GET /", "tier": "T0", "phase": "surge"})
        return read_run(folder)

    return build


def test_offered_counts_intended_starts_and_completed_counts_ends(run_of: MakeRun) -> None:
    run = run_of([(0.1, 0.1, "full"), (0.2, 1.5, "full"), (1.2, None, "error")], [0.5, 2.9])
    timeline = make_timeline(run)
    assert timeline.offered_per_s[:3].tolist() == [3.0, 1.0, 1.0]
    assert timeline.completed_per_s[:3].tolist() == [1.0, 1.0, 0.0]


def test_a_silent_second_is_a_gap_and_not_zero(run_of: MakeRun) -> None:
    timeline = make_timeline(run_of([(0.1, 0.1, "full"), (3.2, 0.1, "full")], []))
    assert np.isnan(timeline.offered_per_s[1:3]).all()
    assert np.isnan(timeline.bad_ratio[1:3]).all()
    assert np.isnan(timeline.p99_s).tolist() == [False, True, False]


def test_drops_and_wrong_answers_are_bad_and_shed_ones_are_not(run_of: MakeRun) -> None:
    rows: list[Row] = [(0.1, 0.1, "full"), (0.2, 0.1, "wrong"), (0.3, 0.1, "shed")]
    timeline = make_timeline(run_of(rows, [0.4]))
    assert timeline.bad_ratio[0] == 0.5
    assert timeline.shed_ratio[0] == 0.25


def test_shed_answers_are_no_response_times(run_of: MakeRun) -> None:
    timeline = make_timeline(run_of([(0.1, 0.2, "full"), (0.2, 0.001, "shed")], []))
    assert timeline.p50_s[0] == pytest.approx(0.2)


def test_an_answer_that_never_came_makes_the_p99_endless(run_of: MakeRun) -> None:
    timeline = make_timeline(run_of([(0.1, 0.2, "full"), (0.2, None, "error")], []))
    assert np.isinf(timeline.p99_s[0])
    assert timeline.p50_s[0] == pytest.approx(0.2)


def test_no_bin_of_quantiles_straddles_the_edge_of_a_fault(whole_run: RunFolder) -> None:
    run = read_run(whole_run)
    edges = make_timeline(run).quantile_edges_s
    for fault in run.faults:
        for at_s in (fault.applied_at_s, fault.cleared_at_s):
            assert at_s is not None
            assert np.isclose(edges, at_s).any()


def test_six_hours_have_hardly_more_points_than_a_minute(run_of: MakeRun) -> None:
    rows: list[Row] = [(float(at_s), 0.1, "full") for at_s in range(0, 6 * 3600, 7)]
    timeline = make_timeline(run_of(rows, []))
    assert len(timeline.offered_per_s) <= 600
    assert len(timeline.p99_s) <= 600


def test_every_answer_is_in_exactly_one_cell_of_the_heatmap(whole_run: RunFolder) -> None:
    run = read_run(whole_run)
    grid = latency_grid(run)
    assert grid is not None
    assert grid.counts.sum() == np.isfinite(run.samples.end_s).sum()


def test_without_an_answer_there_is_no_heatmap(run_of: MakeRun) -> None:
    assert latency_grid(run_of([(0.1, None, "error")], [])) is None
