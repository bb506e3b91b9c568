"""Push messages: each notification is sent to its user's device while it is news."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter

from target_app.clock import Clock
from target_app.edge import EdgeShedError, HttpEdge, PostgresEdge

__all__ = ["PushSender", "TokenBucket"]

# A message that comes later than this is no news any more.
_LASTS_S = 600.0
_BATCH = 50
_LEADER_LOCK = 7_302
# Sent by one worker only: its session holds the lock, see the relay of the outbox.
_UNPUSHED = """
SELECT notification_id, user_id, kind, extract(epoch FROM created_at)::float8 AS at
FROM notifications
WHERE pushed_at IS NULL AND (SELECT pg_try_advisory_lock($1))
ORDER BY notification_id LIMIT $2
"""
_MARK = "UPDATE notifications SET pushed_at = now() WHERE notification_id = ANY($1::bigint[])"


@dataclass(slots=True)
class TokenBucket:
    """Lets ``rate_per_s`` messages through, and ``burst`` at once."""

    rate_per_s: float
    burst: float
    clock: Clock
    _tokens: float = 0.0
    _at_s: float = 0.0

    def take(self) -> bool:
        """Take a token if there is one."""
        now_s = self.clock.monotonic()
        self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class PushSender:
    """Sends what is in the table and not yet pushed; raises EdgeError where an edge is lost."""

    def __init__(
        self,
        store: PostgresEdge,
        service: HttpEdge,
        bucket: TokenBucket,
        clock: Clock,
        results: Counter,
    ) -> None:
        self._store, self._service = store, service
        self._bucket, self._clock, self._results = bucket, clock, results

    async def send_some(self) -> int:
        """Send a batch and return how many are done with, whatever came of them.

        What the service is too busy for is left for the next time.
        """
        rows = await self._store.fetch(_UNPUSHED, _LEADER_LOCK, _BATCH)
        done: list[int] = []
        try:
            for row in rows:
                expires_at = row["at"] + _LASTS_S
                if self._clock.wall() >= expires_at:
                    self._results.labels("expired").inc()
                elif not self._bucket.take():
                    break
                else:
                    message = {
                        "device": str(row["user_id"]),
                        # A worker that dies between sending and marking sends again.
                        "dedup_key": f"n{row['notification_id']}",
                        "expires_at": expires_at,
                        "body": row["kind"],
                    }
                    answer = await self._service.request(
                        "POST", "/push/send", json=message, idempotent=True
                    )
                    self._results.labels("gone" if answer.status == 410 else "delivered").inc()
                done.append(row["notification_id"])
        except EdgeShedError:
            self._results.labels("busy").inc()
        finally:
            if done:
                await self._store.execute(_MARK, done, idempotent=True)
        return len(done)
