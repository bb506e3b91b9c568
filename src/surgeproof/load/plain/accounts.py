"""The request event of a run under arrivals: what passes becomes a sample, on its way to Locust."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from locust.event import EventHook

from surgeproof.load.plain.answers import Told, read_event
from surgeproof.load.plain.arrival import PlainArrival, current_arrival
from surgeproof.load.recorder import SampleRow
from surgeproof.model.words import Outcome

__all__ = ["Accounting", "RequestAccounts", "Unaccounted"]


class Unaccounted(Protocol):
    """Is told of requests that belong to no arrival: those of ``on_start`` and ``on_stop``."""

    def __call__(self, name: str, told: Told) -> None: ...


@dataclass(frozen=True, slots=True)
class Accounting:
    """What is the same for all samples of a generator; times of samples count from ``t0``."""

    generator: int
    tiers: Mapping[str, str]
    t0: float


class RequestAccounts(EventHook):
    """Stands in for Locust's request event while a run is under way.

    Each event fired within an arrival is one sample, given to ``take``. Then Locust's listeners
    hear of it once, with the response time counted from the intended start. Events outside of
    arrivals go to ``outside`` alone. Listeners may come and go as with the event itself.
    """

    def __init__(
        self,
        event: EventHook,
        take: Callable[[SampleRow, PlainArrival], None],
        outside: Unaccounted,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Locust's
        # The same list: who listens to the one listens to the other.
        self._handlers = event._handlers  # noqa: SLF001 - of the class that this one extends
        self._take, self._outside = take, outside
        self._monotonic, self._wall = monotonic, wall
        self.accounting = Accounting(0, {}, 0.0)

    def fire(self, *, reverse: bool = False, **event: Any) -> None:
        """Account for a request, then tell the listeners."""
        arrival = current_arrival()
        told = read_event(event)
        name = f"{event['request_type']} {event['name']}"
        if arrival is None or arrival.is_apart:
            self._outside(name, told)
            return
        start, end = self._span(event)
        row = self._row(arrival, name, event, told, (start, end))
        self._take(row, arrival)
        intended = row.intended_s + self.accounting.t0
        event["response_time"] = (end - intended) * 1e3
        event["start_time"] = self._wall() - self._monotonic() + intended
        super().fire(reverse=reverse, **event)  # type: ignore[no-untyped-call] # Locust's

    def cut_off(self, arrival: PlainArrival, usual_name: str) -> None:
        """Account for the request that an arrival had under way when the run ended.

        With a client that does not say what it is doing only an arrival without any request yet
        is known to have one; ``usual_name`` is then taken for its name.
        """
        if arrival.pending is not None:
            method, name, start = arrival.pending
            name = f"{method} {name}"
        elif arrival.step == 0 and arrival.began is not None:
            name, start = usual_name, arrival.began
            method = name.partition(" ")[0]
        else:
            return
        self._take(self._sample(arrival, name, method, start), arrival)

    def _span(self, event: Mapping[str, Any]) -> tuple[float, float]:
        """Return when a request began and ended, in CLOCK_MONOTONIC seconds."""
        now = self._monotonic()
        response_s = (event.get("response_time") or 0.0) / 1e3
        start_time = event.get("start_time")
        if start_time is None:
            return now - response_s, now
        # The event may come much later than the answer, after a `with` block's own work.
        start = float(start_time) - self._wall() + now
        return start, min(start + response_s, now)

    def _row(
        self,
        arrival: PlainArrival,
        name: str,
        event: Mapping[str, Any],
        told: Told,
        span: tuple[float, float],
    ) -> SampleRow:
        start, end = span
        first_byte_s = None
        if told.first_byte is not None:
            first_byte_s = told.first_byte - self.accounting.t0
        return self._sample(arrival, name, event["request_type"], start)._replace(
            first_byte_s=first_byte_s,
            end_s=end - self.accounting.t0,
            outcome=told.judgement.outcome.value,
            error_kind=told.judgement.error_kind,
            degraded=told.judgement.degraded,
            status=told.status,
            sent_bytes=told.sent_bytes,
            received_bytes=told.received_bytes,
        )

    def _sample(self, arrival: PlainArrival, name: str, method: str, start: float) -> SampleRow:
        """Return the sample of a request that began and has not ended."""
        accounting = self.accounting
        arrival.step += 1
        # Of a later step nobody knows how much of the time since the one before was thinking.
        intended = arrival.intended if arrival.step == 1 else start
        return SampleRow(
            intended_s=intended - accounting.t0,
            start_s=start - accounting.t0,
            first_byte_s=None,
            end_s=None,
            generator=accounting.generator,
            session=arrival.index,
            step=arrival.step,
            attempt=1,
            name=name,
            method=method,
            tier=accounting.tiers.get(name, ""),
            phase=arrival.phase,
            outcome=Outcome.ERROR.value,
            error_kind="unfinished",
            degraded="",
            status=0,
            sent_bytes=None,
            received_bytes=None,
        )
