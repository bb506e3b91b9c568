"""Whether Locust and k6 say the same: ``python -m surgeproof.load.k6.agree PLAN``.

Runs the plan once with each engine, as ``surgeproof run`` does, and compares the two journals. The
plan's ``load.file`` is Locust's; ``--script`` names k6's.
Exits 0 where they agree, 3 where not, else with the code of the run that came to nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.model.samples import Drops, Samples
from surgeproof.slo.quantiles import quantile

__all__ = ["Agreement", "Row", "compare_journals", "main"]

# Exit codes of runs that have a journal worth comparing: whatever their gates said.
_DRIVEN = frozenset({0, 3, 4, 7})
_DIFFERENT = 3
# An engine's own share of a service time, and what two runs of one engine differ by: the larger of
# an absolute and a relative bound. Ratios of errors are compared in absolute terms.
_P50_S, _P50_RATIO = 0.003, 0.3
_P95_S, _P95_RATIO = 0.015, 0.6
_ERROR_RATIO = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, as both engines have it; None where there is none."""

    name: str
    locust: float | None
    k6: float | None
    unit: str
    agrees: bool

    def __str__(self) -> str:
        values = "  ".join(f"{_shown(value, self.unit):>12}" for value in (self.locust, self.k6))
        return f"{self.name:<34}{values}  {'agrees' if self.agrees else 'DIFFERS'}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The figures compared; ``seconds_apart`` are seconds in which the counts differ."""

    rows: tuple[Row, ...]
    seconds_apart: tuple[int, ...]

    @property
    def holds(self) -> bool:
        return not self.seconds_apart and all(row.agrees for row in self.rows)

    def __str__(self) -> str:
        head = f"{'':<34}{'locust':>12}  {'k6':>12}"
        lines = [head, *map(str, self.rows)]
        if self.seconds_apart:
            told = ", ".join(map(str, self.seconds_apart[:10]))
            lines.append(f"other counts in {len(self.seconds_apart)} seconds: {told}")
        else:
            lines.append("the same number of arrivals in every second")
        return "\n".join(lines)


def compare_journals(locust: tuple[Samples, Drops], k6: tuple[Samples, Drops]) -> Agreement:
    """Compare what two runs of one plan journalled.

    Arrivals must be the same in every second of the schedule, dropped ones included; error ratios
    and service times the same within what two runs of one engine may differ by.
    """
    counts = [_per_second(*each) for each in (locust, k6)]
    length = max(map(len, counts))
    first, second = (np.pad(each, (0, length - len(each))) for each in counts)
    apart = tuple(int(place) for place in np.flatnonzero(first != second))
    rows = [
        _row("arrivals", (float(first.sum()), float(second.sum()))),
        _row("arrivals dropped", (float(len(locust[1])), float(len(k6[1])))),
        _row("error ratio", (_errors(locust[0]), _errors(k6[0])), unit="%", absolute=_ERROR_RATIO),
        *_times(locust[0], k6[0]),
    ]
    for name in sorted({*locust[0].name.words, *k6[0].name.words} - {""}):
        count, other = (float(each[0].name.equal(name).sum()) for each in (locust, k6))
        rows.append(_row(name, (count, other)))
    return Agreement(tuple(rows), apart)


def _times(locust: Samples, k6: Samples) -> list[Row]:
    times = [_service_s(each) for each in (locust, k6)]
    rows = []
    for share, absolute, relative in ((0.5, _P50_S, _P50_RATIO), (0.95, _P95_S, _P95_RATIO)):
        first, second = (quantile(each, share) if len(each) else None for each in times)
        name = f"service time p{100 * share:g}"
        rows.append(_row(name, (first, second), unit="ms", absolute=absolute, relative=relative))
    return rows


def _row(
    name: str,
    values: tuple[float | None, float | None],
    *,
    unit: str = "",
    absolute: float = 0.0,
    relative: float = 0.0,
) -> Row:
    locust, k6 = values
    if locust is None or k6 is None:
        return Row(name, locust, k6, unit, locust is k6)
    most = max(absolute, relative * max(abs(locust), abs(k6)))
    return Row(name, locust, k6, unit, abs(locust - k6) <= most)


def _per_second(samples: Samples, drops: Drops) -> NDArray[np.int64]:
    moments = np.concatenate([samples.intended_s[samples.step == 1], drops.intended_s])
    return np.bincount(moments.astype(np.int64)).astype(np.int64)


def _errors(samples: Samples) -> float | None:
    return float(samples.outcome.equal("error").mean()) if len(samples) else None


def _service_s(samples: Samples) -> NDArray[np.float64]:
    times: NDArray[np.float64] = samples.end_s - samples.start_s
    return times[np.isfinite(times)]


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "ms":
        return f"{value * 1e3:.2f} ms"
    return f"{value * 100:.2f} %" if unit == "%" else f"{value:g}"


def main(
    arguments: Sequence[str] | None = None,
    run: Callable[[Sequence[str]], int] = lambda command: (
        subprocess.run(command, check=False).returncode
    ),
) -> int:
    """Run as a program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="surgeproof.load.k6.agree", description=__doc__)
    parser.add_argument("plan", type=Path, help="a plan whose engine is locust")
    parser.add_argument("--out", type=Path, default=Path("reports/runs/agree"))
    parser.add_argument("--script", required=True, help="the k6 script to run instead")
    options = parser.parse_args(arguments)
    journals = []
    for engine in ("locust", "k6"):
        runs = options.out / engine
        command = [
            sys.executable,
            "-m",
            "surgeproof",
            "run",
            str(options.plan),
            "--out",
            str(runs),
        ]
        if engine == "k6":
            command += ["--set", "load.engine=k6", "--set", f"load.file={options.script}"]
        code = run(command)
        if code not in _DRIVEN:
            return code
        samples = (runs / "latest").resolve() / "samples"
        journals.append((read_samples(samples), read_drops(samples)))
    agreement = compare_journals(*journals)
    print(agreement)
    return 0 if agreement.holds else _DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
