"""Locust's request event for each sample, where somebody besides Locust listens to it.

Listeners run on the side that shares the interpreter with the engine: for as long as they work,
nothing is sent. So they are called for a millisecond at most at a stretch (a single call can take
longer; that is the listener's doing). They have a queue of their own, so that a slow listener
holds up neither the journal nor the pulse.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import numpy as np
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
)
from numpy.typing import NDArray

__all__ = ["EventQueue"]

_LOG = logging.getLogger("surgeproof.load")
# The longest stretch, and the pause after it.
_SLICE_S = 0.001
# So many rows become Python objects at once: a tenth of a millisecond.
_ROWS = 100
# A listener that is this far behind is told of once.
_BACKLOG = 50_000

Rows = NDArray[np.void]


class EventQueue:
    """Calls ``fire`` with each row, as plain values, in order and in slices.

    ``fire`` may raise Locust's ``StopUser`` or ``StopTest``, as a listener may: `raise_stop`
    raises them where the run is followed.
    """

    def __init__(
        self,
        fire: Callable[[tuple[Any, ...]], None],
        *,
        pause: Callable[[float], None] = gevent.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fire, self._pause, self._monotonic = fire, pause, monotonic
        self._waiting: deque[Rows] = deque()
        self._greenlet: gevent.Greenlet | None = None
        self._stopped: BaseException | None = None
        self._was_told = False

    @property
    def backlog(self) -> int:
        """How many samples the listeners have not been told of yet."""
        return sum(map(len, self._waiting))

    def add(self, rows: Rows) -> None:
        """Queue rows; they are fired in a greenlet that runs as long as there are some."""
        self._waiting.append(rows)
        if not self._was_told and self.backlog > _BACKLOG:
            self._was_told = True
            _LOG.warning(
                "listeners on Locust's request event are %d requests behind: they take longer"
                " than requests take to come",
                self.backlog,
            )
        if self._greenlet is None or self._greenlet.ready():
            self._greenlet = gevent.spawn(self._work, None)

    def raise_stop(self) -> None:
        """Raise what a listener raised to stop the user or the test, if one did."""
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            raise stopped

    def finish(self, within_s: float) -> None:
        """Fire what is left, for so long at most; what is left then is told in the log."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self._work(self._monotonic() + within_s)
        if self._waiting:
            _LOG.warning("%d requests were not fired to Locust's listeners", self.backlog)

    def _work(self, deadline: float | None) -> None:
        """Fire in slices until nothing is left, or the deadline is over."""
        slice_end = self._monotonic() + _SLICE_S
        while self._waiting:
            rows = self._waiting[0]
            for place, values in enumerate(rows[:_ROWS].tolist(), 1):
                # Taken before it is fired: killed in the midst, none is fired twice.
                self._waiting[0] = rows[place:]
                self._call(values)
                now = self._monotonic()
                if deadline is not None and now > deadline:
                    return
                if now > slice_end:
                    self._pause(_SLICE_S)
                    slice_end = self._monotonic() + _SLICE_S
            if not len(self._waiting[0]):
                self._waiting.popleft()

    def _call(self, values: tuple[Any, ...]) -> None:
        try:
            self._fire(values)
        except (RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet):
            pass  # of a task; here the one task drives all arrivals
        except Exception as error:  # noqa: BLE001 - only StopUser and StopTest come through
            # The rest is fired all the same: Locust's own statistics are a listener, too.
            self._stopped = self._stopped or error
