"""Apply and undo faults so that none is ever unaccounted for.

The order is the guarantee: the intent with its undoing call is on the disk, then the guardian
knows it, then the server is called. Undoing is read back before it counts, and only then does the
guardian forget it. So whoever dies at whatever moment, somebody left knows how to undo.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from surgeproof.clock import Clock
from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultError,
    FaultIndefiniteError,
    FaultRejectedError,
    RollbackFailedError,
    SurgeproofError,
)
from surgeproof.faults.actions import FaultAction, action_for
from surgeproof.faults.effect import EffectObserver
from surgeproof.faults.kinds import validate_fault
from surgeproof.faults.toxiproxy import ServerHealth, ToxiproxyServer
from surgeproof.journal.events import EventLog
from surgeproof.model.plan import Fault
from surgeproof.model.result import FaultRecord

__all__ = ["FaultInjector", "UndoKeeper"]

# A removal that times out is asked again after a second: a stub that was asleep has woken by then.
_UNDO_TRIES = 2
_UNDO_PAUSE_S = 1.0
_NOT_SHORT = re.compile(r"[^A-Za-z0-9]")


class UndoKeeper(Protocol):
    """What outlives this process and undoes what it left: the guardian."""

    def intent(self, fault_id: str, undo: Mapping[str, object]) -> None:
        """Take note of a fault before it is applied; raise if that cannot be promised."""
        ...

    def undone(self, fault_id: str) -> None:
        """Forget a fault."""
        ...


@dataclass(slots=True)
class _Entry:
    """A fault as it goes; what becomes a `FaultRecord`."""

    fault: Fault
    id: str
    action: FaultAction
    listen: str
    applied_at_s: float | None = None
    cleared_at_s: float | None = None
    is_open: bool = True
    # Undoing it has failed before.
    has_resisted: bool = False
    observed: bool | None = None
    detail: str = ""

    def record(self) -> FaultRecord:
        return FaultRecord(
            name=self.fault.name,
            kind=self.fault.kind,
            edge=self.fault.edge,
            planned_at_s=self.fault.start_s,
            applied_at_s=self.applied_at_s,
            cleared_at_s=self.cleared_at_s,
            verified=self.cleared_at_s is not None,
            observed=self.observed,
            detail=self.detail,
        )


class FaultInjector:
    """The faults of one run on one Toxiproxy server. Safe to use from several threads.

    Toxics are named ``<last part of the run id>.<n>``; nothing else of the server is touched.
    """

    def __init__(
        self,
        server: ToxiproxyServer,
        run_id: str,
        events: EventLog,
        guardian: UndoKeeper,
        clock: Clock,
        *,
        observer: EffectObserver | None = None,
    ) -> None:
        self._server = server
        self._short = _NOT_SHORT.sub("", run_id.rpartition("-")[2])[-12:] or "run"
        self._events = events
        self._guardian = guardian
        self._clock = clock
        self._observer = observer
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._count = 0

    def apply(self, fault: Fault) -> None:
        """Apply a fault now, whatever its planned time.

        Raises:
            FaultRejectedError: it is not valid, known already, or the server refused it.
            EnvironmentNotReadyError: the server or the guardian is not there; nothing was changed.
            FaultIndefiniteError: it may have been applied; it was undone, verified.
            RollbackFailedError: it may have been applied and could not be undone.
        """
        with self._lock:
            entry = self._prepare(fault)
            self._entries[fault.name] = entry
            self._events.append(
                "fault.intent",
                fault=fault.name,
                id=entry.id,
                kind=fault.kind,
                edge=fault.edge,
                stream=fault.stream,
                toxicity=fault.toxicity,
                attributes=dict(fault.attributes),
                planned_at_s=fault.start_s,
                undo=dict(entry.action.undo),
            )
            try:
                self._guardian.intent(entry.id, entry.action.undo)
                entry.action.apply()
            except (FaultRejectedError, EnvironmentNotReadyError) as error:
                # Definite: nothing was changed, so there is nothing to undo.
                self._fail(entry, error)
                entry.is_open = False
                self._guardian.undone(entry.id)
                raise
            except FaultIndefiniteError as error:
                self._fail(entry, error)
                self.undo(fault.name)
                raise
            event = self._events.append("fault.applied", fault=fault.name, id=entry.id)
            entry.applied_at_s = event.t_s

    def undo(self, name: str) -> None:
        """Undo a fault and prove it gone; nothing happens if it is undone already.

        Raises:
            RollbackFailedError: it could not be removed, or its removal could not be verified;
                the guardian still knows it.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or not entry.is_open:
                return
            self._look_at(entry)
            if entry.has_resisted:
                self._expect_an_answer(entry)
            for attempt in range(1, _UNDO_TRIES + 1):
                try:
                    self._undo(entry)
                    return
                except (FaultError, EnvironmentNotReadyError) as error:
                    if attempt == _UNDO_TRIES:
                        entry.has_resisted = True
                        message = f"fault {name!r} could not be undone: {error}"
                        failure = RollbackFailedError(message)
                        self._fail(entry, failure)
                        raise failure from error
                self._clock.sleep(_UNDO_PAUSE_S)

    def undo_all(self) -> None:
        """Undo every fault that is there, newest first, going on after a failure.

        Raises:
            RollbackFailedError: some could not be undone; the message names each.
        """
        with self._lock:
            failures = []
            for name in reversed(list(self._entries)):
                try:
                    self.undo(name)
                except RollbackFailedError as error:
                    failures.append(str(error))
            if failures:
                raise RollbackFailedError("; ".join(failures))

    @contextmanager
    def injected(self, fault: Fault) -> Iterator[None]:
        """Keep a fault applied for the length of a ``with`` block."""
        self.apply(fault)
        try:
            yield
        finally:
            self.undo(fault.name)

    def look(self) -> None:
        """Look whether the faults that are on have an effect; seen once is seen."""
        with self._lock:
            for entry in self._entries.values():
                if entry.is_open:
                    self._look_at(entry)

    def active(self) -> tuple[str, ...]:
        """Return the names of the faults that are applied and not proved gone, oldest first."""
        with self._lock:
            return tuple(name for name, entry in self._entries.items() if entry.is_open)

    def records(self, planned: Sequence[Fault] = ()) -> tuple[FaultRecord, ...]:
        """Return how each fault went, in order of planned time.

        Those of ``planned`` that were never tried are among them, without times.
        """
        with self._lock:
            records = [entry.record() for entry in self._entries.values()]
            records += [
                FaultRecord(
                    name=fault.name,
                    kind=fault.kind,
                    edge=fault.edge,
                    planned_at_s=fault.start_s,
                    applied_at_s=None,
                    cleared_at_s=None,
                    verified=False,
                    observed=None,
                    detail="never applied: the run ended before",
                )
                for fault in planned
                if fault.name not in self._entries
            ]
        return tuple(sorted(records, key=lambda record: record.planned_at_s))

    def _prepare(self, fault: Fault) -> _Entry:
        problems = validate_fault(fault)
        known = self._entries.get(fault.name)
        if known is not None and known.is_open:
            problems.append("it is applied already")
        if problems:
            raise FaultRejectedError(f"fault {fault.name!r}: {'; '.join(problems)}")
        number = self._count + 1
        toxic = f"{self._short}.{number}"
        action = action_for(self._server, fault, toxic)
        listen = action.prepare()
        self._count = number
        return _Entry(fault, toxic, action, listen)

    def _undo(self, entry: _Entry) -> None:
        was_there = entry.action.revoke()
        self._events.append(
            "fault.undone", fault=entry.fault.name, id=entry.id, was_there=was_there
        )
        if not entry.action.is_gone():
            raise FaultIndefiniteError("it is back after its removal")
        event = self._events.append("fault.verified", fault=entry.fault.name, id=entry.id)
        self._guardian.undone(entry.id)
        entry.is_open = False
        entry.cleared_at_s = event.t_s
        if not was_there and entry.applied_at_s is not None:
            entry.detail = "somebody else had removed it before its time"

    def _expect_an_answer(self, entry: _Entry) -> None:
        """Give up at once on a server that still hangs: each try would cost its full deadlines.

        Raises:
            RollbackFailedError: the server does not answer for this proxy.
        """
        health = self._server.health(entry.fault.edge)
        if health is not ServerHealth.ANSWERING:
            raise RollbackFailedError(
                f"fault {entry.fault.name!r} could not be undone: toxiproxy is still {health}"
            )

    def _look_at(self, entry: _Entry) -> None:
        if self._observer is None or entry.applied_at_s is None or entry.observed:
            return
        seen = self._observer.observe(entry.fault, entry.listen)
        entry.observed = entry.observed if seen is None else seen

    def _fail(self, entry: _Entry, error: SurgeproofError) -> None:
        entry.detail = str(error)
        self._events.append(
            "fault.failed",
            fault=entry.fault.name,
            id=entry.id,
            error=type(error).__name__,
            message=str(error),
        )
