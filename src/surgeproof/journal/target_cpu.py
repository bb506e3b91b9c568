"""The target's processor time: `target_cpu.jsonl`, one line a second while the load goes."""

from __future__ import annotations

import json
from pathlib import Path

from surgeproof.model.result import ProcessorUse, TargetProcessors

__all__ = ["TARGET_CPU_FILE", "read_target_cpu"]

TARGET_CPU_FILE = "target_cpu.jsonl"


def read_target_cpu(folder: Path) -> TargetProcessors:
    """Return what the target's processes used on average and at most, busiest first.

    Nothing is known of a target that was not started by the run. Lines of a second or so each
    count by their length; one cut by a kill is left out.
    """
    used_s: dict[str, float] = {}
    most: dict[str, float] = {}
    total_s = total_most = 0.0
    path = folder / TARGET_CPU_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        length_s = float(line["length_s"])
        ratios = {str(name): float(ratio) for name, ratio in line["cpu_ratio"].items()}
        for name, ratio in ratios.items():
            used_s[name] = used_s.get(name, 0.0) + ratio * length_s
            most[name] = max(most.get(name, 0.0), ratio)
        total_s += length_s
        total_most = max(total_most, sum(ratios.values()))
    if not total_s:
        return TargetProcessors(None, None)
    processes = [
        ProcessorUse(name, round(used / total_s, 4), round(most[name], 4))
        for name, used in used_s.items()
    ]
    processes.sort(key=lambda each: -each.cpu_ratio)
    return TargetProcessors(
        round(sum(used_s.values()) / total_s, 4), round(total_most, 4), tuple(processes)
    )
