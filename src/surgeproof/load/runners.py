"""How one arrival is carried out: a journey in a task of its own, a declared request without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import Protocol

from surgeproof.load.client import Client
from surgeproof.load.declared import DeclaredRequest
from surgeproof.load.http import Connection, RawResponse, Transport, TransportError
from surgeproof.load.http.decoding import decoded
from surgeproof.load.journeys import CURRENT_ARRIVAL, Arrival, Journey
from surgeproof.load.outcomes import Judgement, judge
from surgeproof.load.recorder import OUTCOMES, PACK, Recorder
from surgeproof.model.words import Outcome

__all__ = ["JourneyRunner", "RequestRunner", "Runner"]

_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_FULL, _ERROR = _CODES[Outcome.FULL], _CODES[Outcome.ERROR]

Ticket = tuple[int, float, int, float]


class Runner(Protocol):
    """Carries out the arrivals of one journey; each ends in a sample or as dropped."""

    def start(self, slot: int, intended: float, phase_index: int) -> None:
        """Begin one; ``slot`` is its place in the schedule, ``intended`` CLOCK_MONOTONIC."""
        ...

    async def settle(self, patience_s: float, grace_s: float) -> None:
        """Wait for those under way, then cut off the rest: their requests stay unfinished."""
        ...


class JourneyRunner:
    """Runs an ``async def`` journey for each arrival."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        journey: Journey,
        scenario: object,
        *,
        recorder: Recorder,
        seed: int,
        complain: Callable[[str], None],
    ) -> None:
        self._loop, self._journey, self._scenario = loop, journey, scenario
        self._recorder, self._seed, self._complain = recorder, seed, complain
        # The loop keeps no strong reference to its tasks.
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, slot: int, intended: float, phase_index: int) -> None:
        self._recorder.in_flight += 1
        arrival = Arrival(slot, intended, phase_index, self._journey.name, self._seed)
        self._tasks[slot] = self._loop.create_task(self._travel(arrival))

    async def settle(self, patience_s: float, grace_s: float) -> None:
        if not self._tasks:
            return
        _, pending = await asyncio.wait(list(self._tasks.values()), timeout=patience_s)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=grace_s)

    async def _travel(self, arrival: Arrival) -> None:
        CURRENT_ARRIVAL.set(arrival)
        recorder = self._recorder
        try:
            await self._journey.run(self._scenario)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - the border to the scenario's code
            self._complain(f"journey {self._journey.name!r} raised {error!r}")
        finally:
            del self._tasks[arrival.index]
            recorder.in_flight -= 1
            if arrival.was_sent:
                recorder.completed += 1
            else:
                recorder.dropped += 1
                recorder.drops.append(arrival.index)


class RequestRunner:
    """Sends a declared request for each arrival; the exchange of all of its connections.

    A connection's ticket is ``(slot, intended, phase_index, start)``, times in CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        request: DeclaredRequest,
        wires: Sequence[bytes],
        transport: Transport,
        client: Client,
        recorder: Recorder,
    ) -> None:
        self._wires, self._expect = tuple(wires), request.expect
        self._only = self._wires[0] if len(self._wires) == 1 else None
        self._is_head = request.method == "HEAD"
        self._pool = transport.pool
        self._total_s, self._read_s = transport.limits.total_s, transport.limits.read_s
        self.connect_s = transport.limits.connect_s
        self._now = transport.monotonic
        self._recorder, self._t0 = recorder, client.t0
        self._label = recorder.label(request.name, request.method)
        self._under_way = 0
        self._is_over = False

    def start(self, slot: int, intended: float, phase_index: int) -> None:
        self._recorder.in_flight += 1
        self._under_way += 1
        now = self._now()
        connection = self._pool.take()
        if connection is None:
            deadline = now + self._total_s
            self._pool.submit(_Waiting(self, slot, intended, phase_index, deadline))
        else:
            self.send(connection, (slot, intended, phase_index, now), now + self._total_s)

    def send(self, connection: Connection, ticket: Ticket, deadline: float) -> None:
        """Send the request of an arrival on a connection that it was given."""
        connection.ticket = ticket
        connection.send(
            self._only or self._wires[ticket[0] % len(self._wires)],
            self,
            ticket[3],
            deadline,
            self._read_s,
            self._is_head,
        )

    def answered(self, connection: Connection) -> None:
        status = connection.status
        if 200 <= status < 300 and not connection.marks:
            parts = connection.body_parts
            body = parts[0] if len(parts) == 1 else connection.body
            if b'"degraded"' not in body:
                self._note(connection, connection.ticket, status, _FULL)
                return
        raw = RawResponse(
            status,
            connection.headers,
            connection.body,
            can_keep_alive=False,
            marks=connection.marks,
        )
        try:
            judgement = judge(decoded(raw), expected=self._expect)
        except TransportError as error:
            judgement = Judgement(Outcome.ERROR, error.kind, "", str(error))
        recorder = self._recorder
        degraded = recorder.degraded.code(judgement.degraded)
        kind = recorder.error_kinds.code(judgement.error_kind)
        outcome = _CODES[judgement.outcome]
        self._note(connection, connection.ticket, status, outcome, kind, degraded)

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        del detail
        if connection is not None:
            code = self._recorder.error_kinds.code(kind)
            self._note(connection, connection.ticket, connection.status, _ERROR, code)

    def fail_unsent(self, ticket: Ticket, kind: str) -> None:
        """Note an arrival that got no connection: dropped if it never had a place in the pool."""
        recorder = self._recorder
        if isnan(ticket[3]):
            recorder.dropped += 1
            recorder.drops.append(ticket[0])
            recorder.in_flight -= 1
            self._under_way -= 1
            return
        self._note(None, ticket, 0, _ERROR, recorder.error_kinds.code(kind))

    async def settle(self, patience_s: float, grace_s: float) -> None:
        del grace_s
        end = self._now() + patience_s
        # Nothing on the hot path tells of its end, so that is looked for.
        while self._under_way and self._now() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # What the pool cuts off from now on is unfinished, and has no end.
        self._is_over = True

    def _note(  # noqa: PLR0917 - called for each request, and keywords cost time
        self,
        connection: Connection | None,
        ticket: Ticket,
        status: int,
        outcome: int,
        error_kind: int = 0,
        degraded: int = 0,
    ) -> None:
        slot, intended, phase_index, start = ticket
        recorder, t0 = self._recorder, self._t0
        if connection is None:
            first_byte, end, sent_bytes, received_bytes = nan, self._now(), 0, 0
        else:
            first_byte, end = connection.first_byte, connection.end
            sent_bytes, received_bytes = connection.sent_bytes, connection.received_bytes
        if self._is_over:
            end, error_kind = nan, recorder.error_kinds.code("unfinished")
        else:
            recorder.completed += 1
        # What `Recorder.sample` does, without the call: this is the hottest line there is.
        recorder.packed.append(
            PACK(
                intended - t0,
                start - t0,
                first_byte - t0,
                end - t0,
                slot,
                sent_bytes,
                received_bytes,
                self._label,
                degraded,
                error_kind,
                phase_index,
                1,
                status,
                outcome,
                1,
            )
        )
        recorder.in_flight -= 1
        self._under_way -= 1


class _Waiting:
    """An arrival of a declared request that has no connection yet: the pool's job."""

    __slots__ = ("_intended", "_phase_index", "_runner", "_slot", "deadline", "is_over", "start")

    def __init__(
        self, runner: RequestRunner, slot: int, intended: float, phase_index: int, deadline: float
    ) -> None:
        self._runner, self._slot = runner, slot
        self._intended, self._phase_index = intended, phase_index
        self.start, self.deadline = nan, deadline
        self.is_over = False

    @property
    def connect_s(self) -> float:
        return self._runner.connect_s

    def begin(self, connection: Connection) -> None:
        self.is_over = True
        ticket = (self._slot, self._intended, self._phase_index, self.start)
        self._runner.send(connection, ticket, self.deadline)

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None:
        del connection, detail
        self.is_over = True
        ticket = (self._slot, self._intended, self._phase_index, self.start)
        self._runner.fail_unsent(ticket, kind)
