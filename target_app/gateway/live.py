"""Live updates at the gateway: ``/v1/live``, over a socket or as the advice to poll."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Annotated, Protocol

import msgspec
from prometheus_client import Counter, Gauge
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from target_app.edge import Deadline, EdgeError
from target_app.gateway.context import GatewayContext
from target_app.identity.tokens import GRACE_S
from target_app.live.events import EventSource
from target_app.live.hub import Hub, Listener
from target_app.live.returns import wait_ms
from target_app.live.ticks import fold
from target_app.serving import ServiceError, ServiceRoute, json_answer, mark_degraded
from target_app.serving.sockets import upgrade

__all__ = ["LiveUpdates"]

_EDGE = "gw-nats"
_GRAPH_EDGE = "gw-graph"
_DEADLINE_S = 1.0

SUBPROTOCOL = "threads.v1"
_TOKEN_PREFIX = "bearer."  # noqa: S105  # how a token is announced, no token

# A socket takes about 32 kB of memory here; further clients poll.
_MOST_SOCKETS = 4_000
_MOST_WATCHED = 100
_HEARTBEAT_S = 10.0
_POLL_S = 5.0
# What comes within this time is told in one message.
_GATHER_S = 0.1
# A client that takes nothing for this long is gone.
_SEND_LIMIT_S = 10.0
# A client's next message is looked at after this time: one that talks on and on waits.
_LISTEN_PAUSE_S = 0.1

# Ties are read anew for this many sockets at once, which spreads the work after a gap.
_AT_ONCE = 16
_LOOK_S = 0.1
_RETRY_S = 1.0
_TIES_DEADLINE_S = 1.0
_TIES_PAGE = 1_000

_TOKEN_EXPIRED = 4401
_NOT_UNDERSTOOD = 1008


class _Watch(msgspec.Struct, forbid_unknown_fields=True):
    watch: Annotated[list[int], msgspec.Meta(max_length=_MOST_WATCHED)]


class _Page(msgspec.Struct):
    ids: list[int]
    next_after: int | None = None


class _Source(Protocol):
    @property
    def is_connected(self) -> bool: ...

    @property
    def is_current(self) -> bool: ...

    async def listen(self) -> None: ...


class LiveUpdates:
    """The sockets of one gateway; ``source`` tells the hub of events."""

    def __init__(
        self, context: GatewayContext, *, hub: Hub, source: _Source, random: Random
    ) -> None:
        self._service = context.service
        self._sessions = context.sessions
        self._graph = context.graph
        self._hub = hub
        self._source = source
        self._random = random
        self._connections = Gauge(
            "app_ws_connections", "Open sockets.", registry=context.service.registry
        )
        self._is_graph_lost = False
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def over_nats(cls, context: GatewayContext) -> LiveUpdates:
        """Return live updates with an ear of their own on the stream."""
        service = context.service
        dropped = Counter(
            "app_ws_dropped_messages_total",
            "Ticks dropped for slow sockets.",
            registry=service.registry,
        )
        hub = Hub(dropped.inc)
        source = EventSource(
            service.edge_client(_EDGE),
            *service.settings.edges[_EDGE],
            hearer=hub,
            note=partial(service.note_error, "live"),
        )
        return cls(context, hub=hub, source=source, random=Random())

    def routes(self) -> Sequence[ServiceRoute]:
        """Return the route for clients without a socket."""
        return (ServiceRoute("GET", "/v1/live", self.show, 2, "live", _DEADLINE_S),)

    def sockets(self) -> Sequence[ServiceRoute]:
        """Return the route of the sockets."""
        return (ServiceRoute("GET", "/v1/live", self.open, 2, "live", _DEADLINE_S),)

    async def start(self) -> None:
        """Begin to listen to the stream."""
        self._tasks = [
            asyncio.create_task(self._source.listen()),
            asyncio.create_task(self._keep_current()),
        ]

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def show(self, request: Request) -> Response:
        """Say whether sockets hear of anything now, and how often to poll where they do not."""
        await self._sessions.token_of(request)
        cause = self._lost() or (_GRAPH_EDGE if self._is_graph_lost else None)
        if cause is not None:
            mark_degraded(request, "live", "poll", cause)
        return json_answer(request, {"mode": _mode(cause is None), "poll_s": _POLL_S})

    async def open(self, request: Request) -> Response:
        """Accept a socket for the token that it names as one of its subprotocols."""
        if not self._service.flags.is_on("live.enabled"):
            raise _refused("live_off", "live updates are switched off: poll instead")
        offered = request.scope["subprotocols"]
        if SUBPROTOCOL not in offered:
            detail = f"subprotocols are {len(offered)} others (accepted: {SUBPROTOCOL})"
            raise ServiceError(400, "bad_request", detail)
        named = [each for each in offered if each.startswith(_TOKEN_PREFIX)]
        if named:
            text = f"Bearer {named[0].removeprefix(_TOKEN_PREFIX)}"
            headers = [each for each in request.scope["headers"] if each[0] != b"authorization"]
            request.scope["headers"] = [*headers, (b"authorization", text.encode())]
            # The headers were read from the scope already.
            request = Request(request.scope, request.receive)
        token = await self._sessions.token_of(request)
        if len(self._hub) >= _MOST_SOCKETS:
            raise _refused("full", f"{_MOST_SOCKETS} sockets are open: poll instead")
        cause = self._lost()
        if cause is not None:
            mark_degraded(request, "live", "poll", cause)
        now = self._service.clock.wall()
        lasts_s = token.expires_at - now
        # An expired token is accepted while identity is lost.
        limit_s = lasts_s if lasts_s > 0 else lasts_s + GRACE_S
        return upgrade(request, SUBPROTOCOL, partial(self._serve, token.user_id, limit_s))

    async def _serve(self, user_id: int, limit_s: float, websocket: WebSocket) -> None:
        listener = Listener(user_id)
        self._hub.join(listener)
        self._connections.set(len(self._hub))
        work = [
            asyncio.create_task(self._tell(websocket, listener, limit_s)),
            asyncio.create_task(self._listen(websocket, listener)),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(listener)
            self._connections.set(len(self._hub))
            for task in work:
                task.cancel()
            for ended in await asyncio.gather(*work, return_exceptions=True):
                # A client that leaves, or takes nothing any more, is no error.
                if isinstance(ended, Exception) and not isinstance(
                    ended, WebSocketDisconnect | TimeoutError
                ):
                    self._service.note_error("live", ended)

    async def _tell(self, websocket: WebSocket, listener: Listener, limit_s: float) -> None:
        """Send what there is to say until the token expires."""
        if self._lost() is None:
            await self._read_ties(listener)
        is_live = listener.is_current
        hello = {"heartbeat_s": _HEARTBEAT_S, "poll_s": _POLL_S, "reconnect_ms": self._wait_ms()}
        await _send(websocket, {"type": "hello", "mode": _mode(is_live), **hello})
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + limit_s
        beats_at = loop.time() + _HEARTBEAT_S
        while loop.time() < ends_at:
            try:
                async with asyncio.timeout_at(min(beats_at, ends_at)):
                    await listener.queue.wait()
            except TimeoutError:
                beats_at = loop.time() + _HEARTBEAT_S
                # The advice is renewed, for how many will come back together changes.
                await _send(websocket, {"type": "heartbeat", "reconnect_ms": self._wait_ms()})
                continue
            await asyncio.sleep(_GATHER_S)
            ticks, has_lost = listener.queue.take()
            for message in fold(ticks):
                await _send(websocket, message)
            if listener.is_current != is_live:
                is_live = listener.is_current
                await _send(websocket, {"type": _mode(is_live), "after_ms": self._wait_ms()})
            elif has_lost:
                await _send(websocket, {"type": "resync", "after_ms": self._wait_ms()})
        await websocket.close(_TOKEN_EXPIRED, "the token has expired: log in again")

    async def _listen(self, websocket: WebSocket, listener: Listener) -> None:
        """Take what the client says: which posts it looks at."""
        while True:
            try:
                text = await websocket.receive_text()
                listener.watched = frozenset(msgspec.json.decode(text, type=_Watch).watch)
            except (KeyError, msgspec.DecodeError):
                reason = f'accepted: {{"watch": [at most {_MOST_WATCHED} post ids]}}'
                await websocket.close(_NOT_UNDERSTOOD, reason)
                return
            await asyncio.sleep(_LISTEN_PAUSE_S)

    async def _keep_current(self) -> None:
        """Outdate all sockets when events are no longer heard, and catch up when they are again."""
        was_live = False
        while True:
            is_live = self._lost() is None
            if was_live and not is_live:
                for listener in self._hub:
                    listener.outdate()
            was_live = is_live
            pause_s = _LOOK_S
            behind = [each for each in self._hub if not each.is_current][:_AT_ONCE]
            if is_live and behind:
                done = await asyncio.gather(*(self._read_ties(each) for each in behind))
                pause_s = _LOOK_S if all(done) else _RETRY_S
            await asyncio.sleep(pause_s)

    async def _read_ties(self, listener: Listener) -> bool:
        """Have a socket hear of those whom its viewer follows; return whether that worked."""
        turn = listener.turn
        try:
            follows, mutes = await asyncio.gather(
                self._ids("follows", listener.user_id), self._ids("mutes", listener.user_id)
            )
        except (EdgeError, msgspec.DecodeError) as error:
            self._service.note_error("live", error)
            self._is_graph_lost = True
            return False
        self._is_graph_lost = False
        if listener.turn == turn:
            listener.set_ties(follows, mutes)
        return True

    async def _ids(self, kind: str, user_id: int) -> Sequence[int]:
        deadline = Deadline.after(_TIES_DEADLINE_S, self._service.clock)
        found: list[int] = []
        after: int | None = 0
        while after is not None:
            path = f"/internal/assoc/{kind}/{user_id}?limit={_TIES_PAGE}&after={after}"
            answer = await self._graph.request(
                "GET", path, headers={"X-Tier": "T2"}, deadline=deadline
            )
            page = answer.json(_Page)
            found += page.ids
            after = page.next_after
        return found

    def _lost(self) -> str | None:
        """Return why sockets hear of nothing now, None if they do."""
        if not self._service.flags.is_on("live.enabled"):
            return "flag"
        if self._service.knobs.is_off("live-ticks"):
            return "knob"
        if not self._source.is_connected:
            return _EDGE
        return None if self._source.is_current else "worker"

    def _wait_ms(self) -> int:
        is_spread = not self._service.has_defect("thundering_reconnect")
        return wait_ms(len(self._hub), self._random, is_spread=is_spread)


def _mode(is_live: bool) -> str:
    return "live" if is_live else "poll"


async def _send(websocket: WebSocket, message: object) -> None:
    async with asyncio.timeout(_SEND_LIMIT_S):
        await websocket.send_text(msgspec.json.encode(message).decode())


def _refused(word: str, detail: str) -> ServiceError:
    return ServiceError(503, word, detail, {"Retry-After": "30"})
