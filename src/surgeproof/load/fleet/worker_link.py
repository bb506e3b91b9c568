"""A worker's end of the line to its master: the order, the clock, leave to send, and shipments."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

import gevent

from surgeproof.load.fleet.clock_offset import ClockOffset, Exchange, best_offset
from surgeproof.load.fleet.dealing import Dealing
from surgeproof.load.fleet.messages import (
    Failed,
    Hello,
    Leave,
    Order,
    Ping,
    Pong,
    Ready,
    Shipment,
    Start,
    Stop,
)
from surgeproof.load.fleet.place import Place
from surgeproof.load.fleet.post import Post

__all__ = ["WorkerLink"]

_LOG = logging.getLogger("surgeproof.load")
# A hello that nobody has answered by then is said again: the master may not run a test yet.
_ASK_AGAIN_S = 1.0
_LOOK_S = 0.01
# Clock exchanges before the start, and what is waited for one at most.
_ROUNDS = 16
_ROUND_S = 0.5
_ROUND_PAUSE_S = 0.005
# Exchanges that come with shipments, one a second: the best of this many is the clock's last word.
_RECENT = 30
# A shipment that is not acknowledged by then is sent once more.
_SEND_AGAIN_S = 2.5


class WorkerLink:
    """One worker's part in one run. Everything is called from the gevent side.

    ``t0`` is on this machine's clock, None until the master has told it; ``stop_at_s`` is the
    moment of the schedule at which the master wants an end, None if it does not.
    """

    def __init__(self, post: Post, place: Place) -> None:
        self._post, self._place = post, place
        self._order: Order | None = None
        self._start: Start | None = None
        self._leaves: deque[Leave] = deque()
        self._exchanges: deque[Exchange] = deque(maxlen=_RECENT)
        self._clock = ClockOffset(0.0, 0.0)
        self._shares_clock = False
        self._shipped = 0
        self._unacknowledged: dict[int, tuple[float, Shipment]] = {}
        self.stop_at_s: float | None = None
        self._post.on(Order, self._on_order)
        self._post.on(Pong, self._on_pong)
        self._post.on(Start, self._on_start)
        self._post.on(Leave, self._on_leave)
        self._post.on(Stop, self._on_stop)

    def join(self) -> Order:
        """Ask for the order until it comes, and measure the clock; waits as long as it takes."""
        while self._order is None:
            self._post.send(Hello(self._place.to_data()))
            _wait(lambda: self._order is not None, _ASK_AGAIN_S)
        self._shares_clock = self._place.shares_clock_with(Place.from_data(self._order.place))
        for _ in range(_ROUNDS):
            before = len(self._exchanges)
            self._post.send(Ping(time.monotonic()))
            _wait(lambda before=before: len(self._exchanges) > before, _ROUND_S)  # type: ignore[misc]
            gevent.sleep(_ROUND_PAUSE_S)
        while not self._exchanges:
            self._post.send(Ping(time.monotonic()))
            _wait(lambda: bool(self._exchanges), _ASK_AGAIN_S)
        self._clock = best_offset(self._exchanges, shares_clock=self._shares_clock)
        self._exchanges.clear()
        return self._order

    def say_ready(self, schedule_sha256: str) -> None:
        """Tell the master that this worker is prepared."""
        clock = self._clock
        self._post.send(
            Ready(
                self._run,
                schedule_sha256,
                clock.offset_s,
                clock.uncertainty_s,
                clock.is_shared,
            )
        )

    def say_failed(self, message: str, exit_code: int) -> None:
        """Tell the master that this worker cannot take part."""
        self._post.send(Failed(self._run, message, exit_code))

    @property
    def t0(self) -> float | None:
        return None if self._start is None else self._start.t0 - self._clock.offset_s

    def take_leaves(self) -> list[tuple[Dealing, float]]:
        """Return the dealings and leaves that have come since the last call, oldest first."""
        return [
            (Dealing.from_data(leave.changes), leave.until_s)
            for leave in (self._leaves.popleft() for _ in range(len(self._leaves)))
        ]

    def clock_now(self) -> ClockOffset:
        """Return the offset by the exchanges of the last half minute; the run keeps the first."""
        if not self._exchanges:
            return self._clock
        return best_offset(self._exchanges, shares_clock=self._shares_clock)

    def ship(
        self,
        t_s: float,
        *,
        samples: bytes = b"",
        drops: bytes = b"",
        ledger: list[str] | None = None,
        pulse: list[str] | None = None,
        stopped_s: float | None = None,
    ) -> None:
        """Send what was measured, and once more what was not acknowledged in time.

        With ``stopped_s`` it is the last shipment: nothing intended from there on was started.
        """
        now = time.monotonic()
        for number, (sent, waiting) in list(self._unacknowledged.items()):
            if now - sent > _SEND_AGAIN_S:
                self._send(number, waiting)
        self._shipped += 1
        shipment = Shipment(
            self._run,
            self._shipped,
            t_s,
            now,
            samples,
            drops,
            ledger or [],
            pulse or [],
            is_last=stopped_s is not None,
            stopped_s=stopped_s or 0.0,
        )
        self._send(self._shipped, shipment)

    def settle(self, patience_s: float) -> bool:
        """Wait until every shipment is acknowledged; False if that takes too long."""
        deadline = time.monotonic() + patience_s
        while self._unacknowledged and time.monotonic() < deadline:
            _wait(lambda: not self._unacknowledged, min(_SEND_AGAIN_S, patience_s))
            for number, (_, waiting) in list(self._unacknowledged.items()):
                self._send(number, waiting)
        return not self._unacknowledged

    @property
    def _run(self) -> str:
        return "" if self._order is None else self._order.run

    def _send(self, number: int, shipment: Shipment) -> None:
        self._unacknowledged[number] = (time.monotonic(), shipment)
        self._post.send(shipment)

    def _on_order(self, sender: str, message: Order, received: float) -> None:
        del sender, received
        if self._order is None:
            self._order = message

    def _on_pong(self, sender: str, message: Pong, received: float) -> None:
        del sender
        self._exchanges.append(
            Exchange(message.asked, message.received, message.answered, received)
        )

    def _on_start(self, sender: str, message: Start, received: float) -> None:
        del sender, received
        if message.run == self._run:
            self._start = message

    def _on_leave(self, sender: str, message: Leave, received: float) -> None:
        del sender
        if message.run != self._run:
            return
        self._leaves.append(message)
        for number in [number for number in self._unacknowledged if number <= message.shipment]:
            del self._unacknowledged[number]
        if message.asked:
            self._exchanges.append(
                Exchange(message.asked, message.received, message.answered, received)
            )

    def _on_stop(self, sender: str, message: Stop, received: float) -> None:
        del sender, received
        if message.run == self._run:
            self.stop_at_s = message.at_s


def _wait(holds: Callable[[], bool], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not holds() and time.monotonic() < deadline:
        gevent.sleep(_LOOK_S)
