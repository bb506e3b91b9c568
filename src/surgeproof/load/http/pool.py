"""A bounded pool of keep-alive connections with an explicit queue.

Beyond ``size`` connections a request waits its turn instead of dialling one more: a generator
that falls behind and dials for every late request only falls further behind.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

from surgeproof.load.http.attempt import TransportError
from surgeproof.load.http.connection import Connection
from surgeproof.load.http.dialling import dial
from surgeproof.load.http.heads import KnownHeads
from surgeproof.load.http.origin import Origin

__all__ = ["Job", "Pool"]


class Job(Protocol):
    """A request that wants a connection; told once which it gets, or why it gets none.

    ``start`` is set when the request has its place in the pool and turns to the network.
    ``deadline`` is when it gives up waiting; ``is_over`` says that it no longer wants to begin.
    """

    start: float
    deadline: float
    is_over: bool

    @property
    def connect_s(self) -> float: ...

    def begin(self, connection: Connection) -> None: ...

    def failed(self, connection: Connection | None, kind: str, detail: str) -> None: ...


class Pool:
    """Connections to one origin; belongs to one event loop.

    ``waiting`` are the jobs without a place, oldest first; ``waited`` counts all that ever were.
    """

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        size: int,
        tls: ssl.SSLContext | None,
        monotonic: Callable[[], float],
    ) -> None:
        self._origin, self._loop, self._size, self._tls = origin, loop, size, tls
        self._monotonic = monotonic
        self._heads = KnownHeads()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._busy = 0
        self._dials: set[asyncio.Task[None]] = set()
        self.waiting: deque[Job] = deque()
        self.waited = 0

    def take(self) -> Connection | None:
        """Return an idle connection, the one used last, with a place; None if there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_open:
                self._busy += 1
                return connection
        return None

    def submit(self, job: Job) -> None:
        """Begin a job on an idle connection, else dial for it, else let it wait its turn."""
        connection = self.take()
        if connection is not None:
            job.start = self._monotonic()
            job.begin(connection)
        elif self._busy < self._size:
            self._busy += 1
            self._dial(job)
        else:
            self.waited += 1
            self.waiting.append(job)

    def release(self, connection: Connection) -> None:
        """Take a connection back after an exchange; the job that waits longest gets its place."""
        waiting = self.waiting
        while waiting:
            job = waiting.popleft()
            if job.is_over:
                continue
            if connection.is_open:
                job.start = self._monotonic()
                job.begin(connection)
            else:
                self._dial(job)
            return
        self._busy -= 1
        if connection.is_open:
            self._idle.append(connection)

    def expire(self, now: float) -> None:
        """Fail what has run out of time: requests under way, and jobs that waited too long."""
        waiting = self.waiting
        # Those that wait first: a connection that expires would go to one of them.
        while waiting and (waiting[0].is_over or waiting[0].deadline <= now):
            self.give_up(waiting.popleft())
        for connection in [each for each in self._all if each.exchange is not None]:
            connection.expire_if_due(now)

    def give_up(self, job: Job) -> None:
        """Fail a job that still waits; does nothing to any other."""
        if not job.is_over:
            job.failed(None, "queue_timeout", "no free connection in time")

    def cut_off(self) -> None:
        """Fail every request under way and every job that waits, as ``unfinished``."""
        while self.waiting:
            self.give_up(self.waiting.popleft())
        for connection in list(self._all):
            connection.cut_off()

    def close(self) -> None:
        for task in self._dials:
            task.cancel()
        for connection in list(self._all):
            connection.close()
        self._idle.clear()

    def _dial(self, job: Job) -> None:
        job.start = self._monotonic()
        task = self._loop.create_task(self._dial_for(job))
        # The loop keeps no strong reference to its tasks.
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial_for(self, job: Job) -> None:
        try:
            connection = await dial(
                self._loop,
                self._origin,
                self._tls,
                lambda: Connection(self.release, self._all.discard, self._monotonic, self._heads),
                timeout_s=max(0.0, min(job.connect_s, job.deadline - job.start)),
            )
        except TransportError as error:
            job.failed(None, error.kind, str(error))
            self._pass_place_on()
            return
        self._all.add(connection)
        if job.is_over:
            self.release(connection)
        else:
            job.begin(connection)
            # The job's start was before the dial, which was no silence of the server's.
            connection.heard = self._monotonic()

    def _pass_place_on(self) -> None:
        """Give a place without a connection to the job that waits longest, or keep it."""
        while self.waiting:
            job = self.waiting.popleft()
            if not job.is_over:
                self._dial(job)
                return
        self._busy -= 1
