"""All artefacts of a run, made again from its folder alone."""

from __future__ import annotations

from pathlib import Path

from surgeproof.journal.folder import RunFolder
from surgeproof.report.junit import render_junit
from surgeproof.report.markdown import render_markdown
from surgeproof.report.openmetrics import render_openmetrics
from surgeproof.report.run import read_run

__all__ = ["render_all"]


def render_all(folder: RunFolder) -> list[Path]:
    """Write report.html, summary.md, junit.xml and metrics.txt; return them in this order.

    A run that was killed before its verdict is rendered with what there is. The same folder
    gives the same bytes. Not safe between threads: matplotlib's settings are the process's.

    Raises:
        FormatError: `result.json` is there and is no result of this schema.
        OSError: the folder cannot be written.
    """
    run = read_run(folder)
    # Late: matplotlib takes its time, and what cannot be read is told without it.
    from surgeproof.report.html import render_html  # noqa: PLC0415

    return [
        folder.write_text("report.html", render_html(run)),
        folder.write_text("summary.md", render_markdown(run)),
        folder.write_text("junit.xml", render_junit(run)),
        folder.write_text("metrics.txt", render_openmetrics(run)),
    ]
