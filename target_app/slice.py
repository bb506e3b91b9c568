"""Ad-hoc slices over the wide events in the logs: ``python -m target_app slice``.

Every service writes an event for a sample of its requests; each says for how many it stands, and
counts here are weighted by that.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

_NAME = re.compile(r"[a-z_]+")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# What an event holds; whatever else a line has is of no concern here.
_COLUMNS = {
    "at": "DOUBLE",
    "service": "VARCHAR",
    "event": "VARCHAR",
    "sample_rate": "BIGINT",
    "region": "VARCHAR",
    "method": "VARCHAR",
    "route": "VARCHAR",
    "status": "BIGINT",
    "tier": "VARCHAR",
    "degraded": "VARCHAR",
    "shadow": "BOOLEAN",
    "calls": "BIGINT",
    "delay_ms": "DOUBLE",
    "duration_ms": "DOUBLE",
}


class _BadSliceError(ValueError):
    """What was asked for cannot be cut; the message names the option."""


def main(arguments: Sequence[str]) -> int:
    """Print a slice and return the exit code: 2 for wrong usage, 1 if there are no events."""
    options = _parser().parse_args(arguments)
    try:
        names, rows = _cut(options)
    except _BadSliceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not rows:
        sys.stderr.write(f"no request was logged in {options.logs} that is asked for\n")
        return 1
    if options.json:
        found = [dict(zip(names, row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print_table(names, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m target_app slice", description=__doc__)
    parser.add_argument("--logs", type=Path, required=True, help="folder with *.log files")
    parser.add_argument(
        "--group-by", default="route", help=f"columns, by comma: {', '.join(_COLUMNS)}"
    )
    parser.add_argument("--where", help="a condition in SQL: \"status >= 500 and tier = 'T0'\"")
    parser.add_argument("--bucket", help="and by time, in steps such as 500ms, 10s or 1m")
    parser.add_argument("--limit", type=int, default=50, help="rows at most (default: 50)")
    parser.add_argument("--json", action="store_true", help="as JSON instead of a table")
    return parser


def _cut(options: argparse.Namespace) -> tuple[list[str], list[tuple[object, ...]]]:
    # Imported late: no service pays for it.
    import duckdb  # noqa: PLC0415

    files = sorted(str(path) for path in options.logs.glob("*.log"))
    if not files:
        raise _BadSliceError(f"--logs {options.logs}: no file *.log there")
    groups = [name.strip() for name in options.group_by.split(",") if name.strip()]
    for name in groups:
        if not _NAME.fullmatch(name) or name not in _COLUMNS:
            accepted = ", ".join(_COLUMNS)
            raise _BadSliceError(f"--group-by {name}: no such column (accepted: {accepted})")
    selected = [f'"{name}"' for name in groups]
    if options.bucket is not None:
        step_s = _seconds(options.bucket)
        selected.insert(0, f'floor("at" / {step_s}) * {step_s} AS bucket')
        groups.insert(0, "bucket")
    order = "bucket, requests DESC" if options.bucket is not None else "requests DESC"
    query = f"""
        SELECT {"".join(f"{each}, " for each in selected)}
            sum(sample_rate)::BIGINT AS requests,
            round(100 * sum(sample_rate) FILTER (status >= 500) / requests, 2) AS error_pct,
            round(100 * sum(sample_rate) FILTER (degraded <> '') / requests, 2) AS degraded_pct,
            round(quantile_cont(duration_ms, 0.5), 1) AS p50_ms,
            round(quantile_cont(duration_ms, 0.95), 1) AS p95_ms,
            round(quantile_cont(duration_ms, 0.99), 1) AS p99_ms,
            round(avg(calls), 2) AS calls
        FROM read_json($files, format = 'newline_delimited', columns = {_COLUMNS!r},
                       ignore_errors = true)
        WHERE event = 'request' AND ({options.where or "true"})
        {"GROUP BY " + ", ".join(f'"{name}"' for name in groups) if groups else ""}
        ORDER BY {order} LIMIT {max(options.limit, 1)}
    """  # noqa: S608 - column names were checked, and the condition is the caller's own
    connection = duckdb.connect(config={"enable_external_access": True})
    try:
        found = connection.execute(query, {"files": files})
        names = [column[0] for column in found.description or ()]
        rows = [row for row in found.fetchall() if row[names.index("requests")]]
    except duckdb.Error as error:
        message = str(error).partition("\n")[0]
        raise _BadSliceError(f"--where {options.where or ''!r}: {message}") from error
    finally:
        connection.close()
    return names, rows


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise _BadSliceError(f"--bucket {text!r} is no duration (accepted: 500ms, 10s, 1m)")
    return float(found[1]) * _SECONDS[found[2]]


def _print_table(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    texts = [["-" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    for line in (names, *texts):
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
