"""What k6 itself said about its run: its exit code and its thresholds, beside our gates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from surgeproof.load.k6.thresholds import Thresholds
from surgeproof.model.result import GateResult
from surgeproof.model.words import Status

__all__ = ["K6Report", "K6Threshold", "compare_with_k6", "k6_messages", "read_thresholds"]

_NAME = "k6"


@dataclass(frozen=True, slots=True)
class K6Threshold:
    """One threshold as k6 judged it; ``gate`` is None where it is the script's own.

    ``has_samples`` is False where k6 passed it for want of anything to judge.
    """

    metric: str
    threshold: str
    is_ok: bool
    has_samples: bool
    gate: str | None = None
    differs: str = ""


@dataclass(frozen=True, slots=True)
class K6Report:
    """The end of one k6 process, in ``k6-<generator>.json`` of the samples folder."""

    version: str
    exit_code: int
    words: str
    thresholds: tuple[K6Threshold, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def write(self, samples: Path, generator: int) -> None:
        path = samples / f"{_NAME}-{generator}.json"
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read_all(cls, samples: Path) -> list[K6Report]:
        """Return what each k6 of a run said; nothing where there was none."""
        reports = []
        for path in sorted(samples.glob(f"{_NAME}-[0-9]*.json")):
            data = json.loads(path.read_text(encoding="utf-8"))
            thresholds = tuple(K6Threshold(**each) for each in data.pop("thresholds"))
            reports.append(cls(thresholds=thresholds, **data))
        return reports


def read_thresholds(
    summary: Path, asked: Thresholds, *, is_judged: bool
) -> tuple[K6Threshold, ...]:
    """Return the thresholds of k6's own summary; none if it was cut short before it wrote one.

    ``is_judged`` says whether the script judged any answer: without that, a count of none is no
    finding.
    """
    if not summary.exists():
        return ()
    found = []
    for metric, said in json.loads(summary.read_text(encoding="utf-8")).items():
        has_samples = _has_samples(metric, said, is_judged=is_judged)
        for threshold, word in said["thresholds"].items():
            carried = [
                each
                for each in asked.carried
                if (each.metric, each.threshold) == (metric, threshold)
            ]
            of: list[tuple[str | None, str]] = [(each.gate, each.differs) for each in carried]
            found += [
                K6Threshold(metric, threshold, bool(word["ok"]), has_samples, gate, differs)
                for gate, differs in of or [(None, "")]
            ]
    return tuple(found)


def _has_samples(metric: str, said: Mapping[str, Any], *, is_judged: bool) -> bool:
    values = said.get("values", {})
    if said.get("type") == "counter":
        # None counted is a finding as good as any, if there was somebody to count.
        return is_judged or not metric.startswith("surgeproof_outcome")
    # A rate says how many passed and failed, a trend how many there were.
    return bool(values.get("count", values.get("passes", 0) + values.get("fails", 0)))


def k6_messages(samples: Path) -> list[str]:
    """Return what k6 said, a line for each matter, for the run's journal."""
    lines = []
    for report in K6Report.read_all(samples):
        lines.append(f"k6 {report.version} ended with {report.exit_code}: {report.words}")
        for each in report.thresholds:
            of = "the script" if each.gate is None else f"gate {each.gate}"
            word = "holds" if each.is_ok else "is crossed"
            empty = "" if each.has_samples else ", with no sample to judge"
            lines.append(f"k6 says: {each.metric}: {each.threshold} of {of} {word}{empty}")
        lines += [f"not told to k6: gate {gate}: {why}" for gate, why in report.left_out.items()]
    return lines


def compare_with_k6(samples: Path, gates: Sequence[GateResult]) -> list[str]:
    """Return where k6's thresholds and our gates disagree, in words; ours are the verdict."""
    ours = {gate.id: gate for gate in gates}
    lines = []
    for report in K6Report.read_all(samples):
        for each in report.thresholds:
            gate = ours.get(each.gate or "")
            if gate is None or not each.has_samples:
                continue
            if gate.status in (Status.PASS, Status.FAIL) and each.is_ok != (
                gate.status is Status.PASS
            ):
                word = "holds" if each.is_ok else "is crossed"
                why = f" ({each.differs})" if each.differs else ""
                lines.append(
                    f"gate {gate.id} is {gate.status} here; k6 says that its threshold "
                    f"{each.metric}: {each.threshold} {word}{why}"
                )
    return lines
