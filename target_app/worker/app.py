"""The worker process: its loops, each of which lasts as long as the process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import msgspec

from target_app.edge import EdgeError
from target_app.feed.keys import FanoutStatus, TrendingList, TrendingTag
from target_app.live.events import NOTIFIED_SUBJECT, STATUS_SUBJECT, Notified, Status
from target_app.serving import Service, run_app
from target_app.settings import Settings
from target_app.worker.chores import ChoreHandler, NotificationStore
from target_app.worker.consumer import Consumer
from target_app.worker.fanout import EventHandler
from target_app.worker.followers import GraphFollowers
from target_app.worker.graph import GraphChores
from target_app.worker.metrics import WorkerMetrics
from target_app.worker.outbox import STATEMENTS, Outbox, OutboxState, Relay
from target_app.worker.progress import Progress
from target_app.worker.push import PushSender, TokenBucket
from target_app.worker.review import PENDING, Reviewer
from target_app.worker.stream import CONSUMER, STREAM, EventStream
from target_app.worker.timelines import TimelineWriter
from target_app.worker.trends import WINDOW_S, TagTrends

__all__ = ["WorkerApp", "main"]

_POSTGRES_EDGE = "worker-pg"
_STREAM_EDGE = "worker-nats"

# One statement of this each time, so an idle outbox costs 25 round trips a second.
_RELAY_IDLE_S = 0.04
# After an error; below what a breaker needs to close again, so that it adds nothing to that.
_RETRY_S = 0.25
_CONNECTED_CHECK_S = 0.1
_REPORT_S = 0.5
_TRENDING_TAGS = 20
_CHORES = "chores"
_CHORE_IDLE_S = 0.5
_PURGE_S = 60.0
_PUSHES_PER_S = 100.0


class WorkerApp:
    """Relay, consumer and report."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._metrics = WorkerMetrics(service.registry)
        # One connection: the relay's leadership is a lock of its session.
        self._postgres = service.postgres_edge(_POSTGRES_EDGE, (*STATEMENTS, PENDING), size=1)
        self._outbox = Outbox(self._postgres)
        self._writer = TimelineWriter(service.redis_edge("worker-timeline"))
        self._trends = TagTrends()
        graph = service.http_edge("worker-graph")
        moderation = service.http_edge("worker-moderation")
        self._reviewer = Reviewer(self._postgres, moderation, graph)
        self._handler = EventHandler(
            followers=GraphFollowers(graph),
            timelines=self._writer,
            trends=self._trends,
            metrics=self._metrics,
            clock=service.clock,
            celebrity_threshold=self._celebrity_threshold,
            has_defect=service.has_defect,
        )
        host, port = service.settings.edges[_STREAM_EDGE]
        self._stream = EventStream(
            service.edge_client(_STREAM_EDGE),
            host,
            port,
            note=lambda error: service.note_error("stream", error),
        )
        self._relay = Relay(self._outbox, self._stream, has_defect=service.has_defect)
        self._consumer = Consumer(
            self._handler, self, bury=self._stream.bury, has_defect=service.has_defect
        )
        # A consumer and a connection of its own: whatever holds these up, timelines go on.
        self._chore_stream = EventStream(
            service.edge_client(_STREAM_EDGE),
            host,
            port,
            note=lambda error: service.note_error("stream", error),
            consumer=_CHORES,
        )
        chores = ChoreHandler(
            GraphChores(graph),
            NotificationStore(self._postgres),
            self._tell_live,
            service.has_defect,
        )
        self._chores = Consumer(chores, self, bury=None, has_defect=service.has_defect)
        self._push = PushSender(
            self._postgres,
            service.http_edge("worker-push"),
            TokenBucket(_PUSHES_PER_S, _PUSHES_PER_S, service.clock),
            service.clock,
            self._metrics.pushed,
        )
        self._progress = Progress()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_reported = False

    def _celebrity_threshold(self) -> float:
        if self._service.has_defect("celebrity_push"):
            return math.inf
        return self._service.flags.number("feed.celebrity_threshold")

    def is_ready(self) -> bool:
        """Whether all dependencies have been there once; losing one later is borne."""
        return self._has_reported

    def note_error(self, feature: str, error: Exception) -> None:
        """Count and log an exception that was handled."""
        self._service.note_error(feature, error)

    def note_redelivery(self) -> None:
        """Count a message that was delivered before."""
        self._metrics.redeliveries.inc()

    def note_dead_letter(self, kind: str) -> None:
        """Count a message that was given up."""
        self._metrics.dead_letters.labels(kind).inc()

    async def start(self) -> None:
        """Begin all loops; does not wait for any dependency."""
        loops: tuple[tuple[str, Callable[[], Awaitable[float]]], ...] = (
            ("stream", self._keep_connected),
            ("relay", self._relay_once),
            ("events", self._consume_once),
            ("chore stream", self._keep_chores_connected),
            ("chores", self._do_chores_once),
            ("push", self._push_once),
            ("purge", self._purge_once),
            ("report", self._report_once),
            ("reviews", self._reviewer.review_page),
        )
        await self._recall_trends()
        self._tasks = [asyncio.create_task(self._for_ever(*loop)) for loop in loops]

    async def stop(self) -> None:
        """End all loops; what is half done will be delivered or relayed again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stream.close()
        await self._chore_stream.close()

    async def _for_ever(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        """Repeat a step, which says how long to wait before the next; no error ends the loop."""
        while True:
            try:
                pause_s = await step()
            except EdgeError as error:
                self._service.note_error(name, error)
                pause_s = _RETRY_S
            except Exception as error:  # noqa: BLE001  # the border: a bug must not end the worker
                self._service.note_unhandled(name, error)
                pause_s = _RETRY_S
            await asyncio.sleep(pause_s)

    async def _recall_trends(self) -> None:
        """Count the tags of the last minutes again: a restart must not empty the list."""
        try:
            await self._postgres.wait_connected()
            for event in await self._outbox.recent("post.created", WINDOW_S):
                self._handler.count_tags(event)
        except EdgeError as error:
            self._service.note_error("trending", error)

    async def _keep_connected(self) -> float:
        if not self._stream.is_connected:
            await self._stream.connect()
            self._metrics.reconnects.inc()
        return _CONNECTED_CHECK_S

    async def _relay_once(self) -> float:
        if not self._stream.is_connected:
            return _CONNECTED_CHECK_S
        moved = await self._relay.move()
        self._metrics.relayed.inc(moved)
        return 0.0 if moved else _RELAY_IDLE_S

    async def _consume_once(self) -> float:
        if not self._stream.is_connected:
            return _CONNECTED_CHECK_S
        await self._consumer.work_off(await self._stream.deliveries())
        return 0.0

    async def _keep_chores_connected(self) -> float:
        if not self._chore_stream.is_connected:
            await self._chore_stream.connect()
        return _CONNECTED_CHECK_S

    async def _do_chores_once(self) -> float:
        if not self._chore_stream.is_connected:
            return _CONNECTED_CHECK_S
        await self._chores.work_off(await self._chore_stream.deliveries())
        return 0.0

    async def _tell_live(self, user_id: int) -> None:
        """Tell the user's sockets; nobody hears of it where there is no connection."""
        try:
            body = msgspec.json.encode(Notified(user_id))
            await self._chore_stream.say(NOTIFIED_SUBJECT, body)
        except EdgeError as error:
            self._service.note_error("live", error)

    async def _push_once(self) -> float:
        if not self._service.flags.is_on("push.enabled"):
            return _CHORE_IDLE_S
        return 0.0 if await self._push.send_some() else _CHORE_IDLE_S

    async def _purge_once(self) -> float:
        return 1.0 if await self._outbox.purge() else _PURGE_S

    async def _report_once(self) -> float:
        now = self._service.clock.wall()
        await self._measure(now)
        lag_s = self._progress.lag_s(now=now, in_hand_since=self._consumer.in_hand_since)
        tags = [
            TrendingTag(tag=line.tag, uses=line.uses, score=round(line.score, 3))
            for line in self._trends.top(_TRENDING_TAGS, now=now)
        ]
        await self._writer.report(
            FanoutStatus(at=now, lag_s=lag_s), TrendingList(as_of=now - lag_s, tags=tags)
        )
        self._has_reported = self._has_reported or self._stream.is_connected
        return _REPORT_S

    async def _measure(self, now: float) -> None:
        """Look at outbox and stream; what cannot be looked at counts as behind since then."""
        try:
            state: OutboxState = await self._outbox.state()
            self._progress.note_outbox(state.oldest_age_s, now=now)
            self._metrics.outbox_pending.set(state.pending)
            self._metrics.outbox_age.set(state.oldest_age_s)
        except EdgeError as error:
            self._service.note_error("report", error)
        if self._stream.is_connected:
            try:
                waiting_s = self._progress.waiting_s(now=now)
                await self._stream.say(STATUS_SUBJECT, msgspec.json.encode(Status(waiting_s)))
                self._metrics.stream_lag.labels(STREAM, CONSUMER).set(await self._stream.lag())
            except EdgeError as error:
                self._service.note_error("report", error)
        if self._chore_stream.is_connected:
            try:
                lag = await self._chore_stream.lag()
                self._metrics.stream_lag.labels(STREAM, _CHORES).set(lag)
            except EdgeError as error:
                self._service.note_error("report", error)


def main(settings: Settings) -> int:
    """Serve until SIGTERM and return the exit code."""
    service = Service(settings, trusts_callers=True)
    worker = WorkerApp(service)
    app = service.application([], on_start=worker.start, on_stop=worker.stop, ready=worker.is_ready)
    return run_app(app, settings, service.log)
