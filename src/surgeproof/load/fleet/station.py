"""A worker's run as the process that drives it sees it: an order, a start, slots, and an end."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from surgeproof.load.engine import EngineSetup
from surgeproof.load.fleet.dealing import Slots
from surgeproof.load.fleet.holding import Holding
from surgeproof.load.fleet.place import Place
from surgeproof.load.fleet.post import Post
from surgeproof.load.fleet.shipping_sink import ShippingSink
from surgeproof.load.fleet.worker_link import WorkerLink
from surgeproof.load.handover import LoadOrder
from surgeproof.load.schedule import Schedule

__all__ = ["SlotTaker", "WorkerStation"]

_LOG = logging.getLogger("surgeproof.load")
# After its last shipment a worker waits this long at most for the master's receipt.
_RECEIPT_S = 1.0


class SlotTaker(Protocol):
    """An engine, as far as dealing goes; safe to call from any thread."""

    def add(self, slots: Slots) -> None:
        """Send these slots too, each at its moment, or at once if that has passed."""
        ...

    def cut(self, from_s: float) -> None:
        """Start nothing that is intended at ``from_s`` or later."""
        ...

    def stop(self) -> None:
        """End, after a second for what is under way."""
        ...


class WorkerStation:
    """A worker's part in one run of its master. Called from the gevent side but `say_prepared`.

    ``t0`` is when the run begins, on this machine's clock, None until that is known.
    """

    def __init__(self, post: Post, place: Place) -> None:
        self._post, self._link = post, WorkerLink(post, place)
        self._holding: Holding | None = None
        self._schedule: Schedule | None = None
        self._is_prepared = self._said_ready = self._has_ended = False
        self._stopped_s: float | None = None
        self._bundle: tempfile.TemporaryDirectory[str] | None = None
        self.sink = ShippingSink(self)
        self._headers: Mapping[str, str] = {}
        self.number = 0
        self.t0: float | None = None

    def open(self) -> LoadOrder:
        """Join the fleet and return the order; waits for the master as long as it takes.

        Raises:
            FormatError: the order cannot be read (another version's).
        """
        told = self._link.join()
        self.number, self._headers = told.number, told.headers
        order = LoadOrder.from_json(told.order)
        if told.ca_bundle:
            # Certificates are no secret, and TLS takes them from files only.
            self._bundle = tempfile.TemporaryDirectory(prefix="surgeproof-")
            path = Path(self._bundle.name) / "ca.pem"
            path.write_text(told.ca_bundle, encoding="utf-8")
            order = replace(order, ca_bundle=path)
        return order

    def take(self, setup: EngineSetup) -> EngineSetup:
        """Take the schedule that the order means; return the setup with no slot dealt yet."""
        self._schedule = setup.schedule
        self._holding = Holding(self.number, setup.schedule.times_s)
        return replace(setup, headers=self._headers, slots=np.empty(0, dtype=np.int64))

    def say_prepared(self) -> None:
        """Note that the scenario is prepared; from any thread."""
        self._is_prepared = True

    def fail(self, message: str, exit_code: int) -> None:
        """Tell the master that this worker cannot take part."""
        self._link.say_failed(message, exit_code)

    def attend(self, engine: SlotTaker) -> None:
        """Do what the master says; to be called often."""
        if self._holding is None or self._schedule is None:
            return
        if self._is_prepared and not self._said_ready:
            self._said_ready = True
            self._link.say_ready(self._schedule.sha256)
        for dealing, until_s in self._link.take_leaves():
            added = self._holding.update(dealing, until_s)
            if len(added):
                engine.add(added)
        if self.t0 is None:
            self.t0 = self._link.t0
        stop_at_s = self._link.stop_at_s
        if stop_at_s is None:
            return
        if self._stopped_s is None:
            self._stopped_s = stop_at_s
            engine.cut(stop_at_s)
        if self.t0 is None or time.monotonic() - self.t0 >= stop_at_s:
            engine.stop()

    def ship(self, *, samples: bytes, drops: bytes, ledger: list[str], pulse: list[str]) -> None:
        """Send to the master what was measured, with what the clocks say by now."""
        if self.t0 is not None and not self._has_ended:
            self._link.ship(
                time.monotonic() - self.t0,
                samples=samples,
                drops=drops,
                ledger=ledger,
                pulse=pulse,
            )

    def clock_fields(self) -> Mapping[str, object]:
        """Return the offset to the master's clock by now; the run keeps the one it began with."""
        clock = self._link.clock_now()
        return {"clock_offset_s": clock.offset_s, "clock_uncertainty_s": clock.uncertainty_s}

    def end(self) -> None:
        """Tell the master that this was all, and wait a moment for its receipt; idempotent."""
        if self._has_ended or self._schedule is None:
            return
        self._has_ended = True
        if self.t0 is not None:
            self._post.send_statistics()
            now_s = time.monotonic() - self.t0
            stopped_s = now_s if self._stopped_s is None else self._stopped_s
            self._link.ship(now_s, stopped_s=min(stopped_s, self._schedule.duration_s))
            if not self._link.settle(_RECEIPT_S):
                _LOG.warning("the master has not acknowledged the last of this worker's samples")
        if self._bundle is not None:
            self._bundle.cleanup()
