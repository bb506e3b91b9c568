"""Abort guards: gates that are watched while the run goes on, and end it when they break."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from surgeproof.journal.samples import read_drops, read_samples
from surgeproof.model.plan import Endpoint, Gate, Phase, Window
from surgeproof.model.result import GateResult
from surgeproof.model.words import Status
from surgeproof.slo.gates import judge
from surgeproof.slo.run_data import RunData

__all__ = ["GuardWatch"]

# Reading the samples must not cost more than this share of the harness' time.
_BUSY_SHARE = 0.1
_INTERVAL_S = 1.0


class GuardWatch:
    """Judges the guards on the samples so far, about once a second.

    A guard without ``over`` looks at the whole run so far; with it, at the last stretch of that
    length: what broke a guard and is over no longer aborts.
    """

    def __init__(
        self,
        guards: Sequence[Gate],
        samples: Path,
        *,
        endpoints: Sequence[Endpoint],
        phases: Sequence[Phase],
        cpu_time: Callable[[], float] = time.process_time,
    ) -> None:
        self._guards = tuple(guards)
        self._samples = samples
        self._endpoints = tuple(endpoints)
        self._phases = tuple(phase.window for phase in phases)
        self._cpu_time = cpu_time
        self._next_s = 0.0

    def breached(self, now_s: float) -> GateResult | None:
        """Return the first guard that is broken at ``now_s`` (since t0), if any."""
        if not self._guards or now_s < self._next_s:
            return None
        before = self._cpu_time()
        found = self._judge(now_s)
        spent_s = self._cpu_time() - before
        self._next_s = now_s + max(_INTERVAL_S, spent_s / _BUSY_SHARE)
        return found

    def _judge(self, now_s: float) -> GateResult | None:
        samples, drops = read_samples(self._samples), read_drops(self._samples)
        if not len(samples) and not len(drops):
            return None
        for guard in self._guards:
            start_s = max(0.0, now_s - guard.over_s) if guard.over_s else 0.0
            if guard.over_s and now_s < guard.over_s:
                continue
            data = RunData(
                samples=samples,
                drops=drops,
                run=Window("so far", start_s, now_s),
                endpoints=self._endpoints,
                phases=self._phases,
            )
            for result in judge(guard, data):
                if result.status is Status.FAIL:
                    return result
        return None
