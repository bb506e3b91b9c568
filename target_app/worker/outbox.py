"""The outbox and its relay: what was written with a transaction gets into the stream.

An event is marked as sent only after the stream has acknowledged it. A crash in between sends it
again under the same message id, which the stream drops within its window, and which consumers
bear anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from target_app.edge import EdgeError, PostgresEdge
from target_app.worker.events import Event

__all__ = ["STATEMENTS", "Outbox", "OutboxState", "Publisher", "Relay", "RelayStore"]

# Any number that no other use of advisory locks in this database has.
_LEADER_LOCK = 7_301

# The lock belongs to the session, so the statement must always run on one and the same connection
# (a pool of one). Taking it while holding it only counts up; it ends with the connection. A second
# relay gets no rows.
_UNSENT = """
SELECT event_id, kind, payload, extract(epoch FROM created_at)::float8 AS at
FROM outbox
WHERE sent_at IS NULL AND (SELECT pg_try_advisory_lock($1))
ORDER BY event_id LIMIT $2
"""
_MARK = "UPDATE outbox SET sent_at = now() WHERE event_id = ANY($1::bigint[])"
_STATE = """
SELECT count(*) AS pending,
       coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_age_s
FROM outbox WHERE sent_at IS NULL
"""
_RECENT = """
SELECT event_id, kind, payload, extract(epoch FROM created_at)::float8 AS at
FROM outbox
WHERE kind = $1 AND created_at > now() - $2 * interval '1 second'
ORDER BY event_id
"""

# What is of no use any more goes in small steps: no statement may hold up the relay.
_PURGE = """
WITH old AS (
    SELECT event_id FROM outbox WHERE sent_at < now() - interval '1 hour' LIMIT 1000
), gone AS (
    DELETE FROM outbox WHERE event_id IN (SELECT event_id FROM old) RETURNING 1
), old_keys AS (
    SELECT author_id, idempotency_key FROM post_keys
    WHERE created_at < now() - interval '24 hours' LIMIT 1000
), gone_keys AS (
    DELETE FROM post_keys k USING old_keys o
    WHERE k.author_id = o.author_id AND k.idempotency_key = o.idempotency_key RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM gone_keys) AS purged
"""

STATEMENTS = (_UNSENT, _MARK, _STATE, _RECENT)


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How much waits, and for how long the oldest has."""

    pending: int
    oldest_age_s: float


class RelayStore(Protocol):
    """Where the relay finds what is to be sent."""

    async def unsent(self, limit: int) -> Sequence[Event]:
        """Return the oldest unsent events, none unless this process is the one that relays."""
        ...

    async def mark_sent(self, event_ids: Sequence[int]) -> None:
        """Note that the stream has these events."""
        ...


class Publisher(Protocol):
    """Where the relay sends events."""

    async def publish(self, event: Event) -> None:
        """Return once the stream has stored the event; raise EdgeError if that is not known."""
        ...


class Outbox:
    """The outbox table over the edge ``worker-pg``; every method raises EdgeError if it is lost."""

    def __init__(self, edge: PostgresEdge) -> None:
        self._edge = edge

    async def unsent(self, limit: int) -> Sequence[Event]:
        """Return the oldest unsent events if this session leads, else none."""
        rows = await self._edge.fetch(_UNSENT, _LEADER_LOCK, limit)
        return [_event(row["event_id"], row["kind"], row["at"], row["payload"]) for row in rows]

    async def mark_sent(self, event_ids: Sequence[int]) -> None:
        """Mark events as sent; marking them twice does no harm."""
        await self._edge.execute(_MARK, list(event_ids), idempotent=True)

    async def state(self) -> OutboxState:
        """Return how much waits."""
        row = await self._edge.fetchrow(_STATE)
        if row is None:
            return OutboxState(pending=0, oldest_age_s=0.0)
        return OutboxState(pending=row["pending"], oldest_age_s=row["oldest_age_s"])

    async def purge(self) -> int:
        """Delete some of what is too old to matter, and return how much that was."""
        row = await self._edge.fetchrow(_PURGE)
        return 0 if row is None else int(row["purged"])

    async def recent(self, kind: str, within_s: float) -> Sequence[Event]:
        """Return the events of one kind that were written within the last seconds, sent or not."""
        rows = await self._edge.fetch(_RECENT, kind, within_s)
        return [_event(row["event_id"], row["kind"], row["at"], row["payload"]) for row in rows]


class Relay:
    """Moves events from the outbox to the stream, in order as far as the stream allows."""

    def __init__(
        self,
        store: RelayStore,
        publisher: Publisher,
        *,
        batch: int = 200,
        has_defect: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._has_defect = has_defect
        self._publisher = publisher
        self._batch = batch

    async def move(self) -> int:
        """Send one batch and return how many events the stream has stored.

        Events are handed over in order; what was stored is marked even if others failed. Raises
        the first EdgeError after that.
        """
        events = await self._store.unsent(self._batch)
        if not events:
            return 0
        results = await asyncio.gather(
            *(self._publisher.publish(event) for event in events), return_exceptions=True
        )
        stored: list[int] = []
        failure: EdgeError | None = None
        for event, result in zip(events, results, strict=True):
            if result is None:
                stored.append(event.event_id)
            elif isinstance(result, EdgeError):
                failure = failure or result
            else:
                raise result
        if self._has_defect("lost_write_on_stream_outage"):
            # As if there were no outbox: told once, and forgotten.
            stored = [event.event_id for event in events]
        if stored:
            await self._store.mark_sent(stored)
        if failure is not None:
            raise failure
        return len(stored)


def _event(event_id: int, kind: str, at: float, payload: str) -> Event:
    return Event(event_id=event_id, kind=kind, at=at, body=msgspec.Raw(payload.encode()))
