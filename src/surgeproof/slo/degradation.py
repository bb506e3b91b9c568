"""Endpoint by fault: what each fault did to each endpoint, before, during and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surgeproof.model.plan import Endpoint, Window
from surgeproof.model.result import FaultRecord, RecoveryResult
from surgeproof.model.samples import Drops, Samples
from surgeproof.slo.quantiles import finite_or_none
from surgeproof.slo.recovery import baselines
from surgeproof.slo.signs import Signs, VitalSeries

__all__ = ["DegradationCell", "degradation_table"]


@dataclass(frozen=True, slots=True)
class DegradationCell:
    """One endpoint under one fault; None where the stretch does not exist."""

    endpoint: str
    tier: str
    fault: str
    before: Signs | None
    during: Signs | None
    after: Signs | None

    @property
    def p99_change_s(self) -> float | None:
        """How much the p99 rose; None where either side has none or it is endless."""
        if self.before is None or self.during is None:
            return None
        if self.before.p99_s is None or self.during.p99_s is None:
            return None
        return finite_or_none(self.during.p99_s - self.before.p99_s)

    def to_json(self) -> dict[str, object]:
        """Return the cell as ``result.json`` holds it."""
        return {
            "endpoint": self.endpoint,
            "tier": self.tier,
            "fault": self.fault,
            "before": _signs_json(self.before),
            "during": _signs_json(self.during),
            "after": _signs_json(self.after),
            "p99_change_s": self.p99_change_s,
        }


def degradation_table(
    samples: Samples,
    drops: Drops,
    endpoints: Sequence[Endpoint],
    faults: Sequence[FaultRecord],
    recoveries: Mapping[str, RecoveryResult],
    *,
    run: Window,
    warm_up_end_s: float = 0.0,
) -> tuple[DegradationCell, ...]:
    """Return the cells, by endpoint in the plan's order, then by fault in theirs."""
    cells: list[DegradationCell] = []
    for endpoint in endpoints:
        vital = VitalSeries.of(
            samples.take(samples.name.equal(endpoint.name)),
            drops.take(drops.name.equal(endpoint.name)),
        )
        before = baselines(vital, faults, run=run, warm_up_end_s=warm_up_end_s)
        for fault in faults:
            recovery = recoveries.get(fault.name)
            cells.append(
                DegradationCell(
                    endpoint.name,
                    str(endpoint.tier),
                    fault.name,
                    before.get(fault.name),
                    vital.signs([fault.window]) if fault.window else None,
                    vital.signs([recovery.window]) if recovery else None,
                )
            )
    return tuple(cells)


def _signs_json(signs: Signs | None) -> dict[str, object] | None:
    if signs is None:
        return None
    return {
        "n": signs.n,
        "p50_s": _number(signs.p50_s),
        "p95_s": _number(signs.p95_s),
        "p99_s": _number(signs.p99_s),
        "error_ratio": signs.error_ratio,
        "shed_ratio": signs.shed_ratio,
        "degraded_ratio": signs.degraded_ratio,
        "yield_ratio": signs.yield_ratio,
    }


def _number(value: float | None) -> float | None:
    return None if value is None else finite_or_none(value)
