"""Everything about a run that gates and objectives are judged from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from surgeproof.model.plan import Endpoint, Window
from surgeproof.model.result import LedgerCounts, RecoveryResult
from surgeproof.model.samples import Drops, Samples

__all__ = ["RunData"]


@dataclass(frozen=True, slots=True)
class RunData:
    """A run as data, whole or so far; all times in seconds since t0.

    ``samples`` and ``drops`` are in order of intended start. ``faults`` maps a fault's bare name
    to its window, and lacks those that were never applied; ``recoveries`` likewise. ``run`` is
    the stretch that a gate without ``during`` is judged over.
    """

    samples: Samples
    drops: Drops
    run: Window
    endpoints: tuple[Endpoint, ...] = ()
    phases: tuple[Window, ...] = ()
    faults: Mapping[str, Window] = field(default_factory=lambda: MappingProxyType({}))
    recoveries: Mapping[str, RecoveryResult] = field(default_factory=lambda: MappingProxyType({}))
    ledger: Mapping[str, LedgerCounts] = field(default_factory=lambda: MappingProxyType({}))

    def window(self, during: str | None) -> Window | None:
        """Return the window that ``during`` names, or None if the run never had it."""
        if during is None:
            return self.run
        kind, colon, name = during.partition(":")
        if not colon:
            return next((phase for phase in self.phases if phase.name == during), None)
        if kind == "fault":
            return self.faults.get(name)
        recovery = self.recoveries.get(name)
        return recovery.window if recovery is not None else None
