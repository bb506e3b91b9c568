"""How much one user may ask for in a minute: each kind of write costs tokens of one bucket.

Counted in this process's memory: a user who is spread over several gateways has a bucket in each.
"""

from __future__ import annotations

import math
from typing import Protocol

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import Request

from target_app.clock import Clock
from target_app.serving import ServiceError

__all__ = ["COSTS", "Limits"]

# Tokens. Six hundred a minute are two posts a second, for a whole minute: no person is so fast.
COSTS = {"upload": 20, "post": 5, "reply": 5, "repost": 5, "follow": 3}
_USER = RateLimitItemPerMinute(600)

# Wrong passwords of one account from one address: right ones are free, and nobody can lock an
# account's owner out from elsewhere.
_WRONG_PASSWORDS = RateLimitItemPerMinute(10)

# What all users together may do: a sign-up hashes a password, an upload fills a disk.
_SIGN_UPS = RateLimitItemPerSecond(100)
_UPLOADS = RateLimitItemPerSecond(50)


class LimitsHost(Protocol):
    """What the limits need of their service."""

    clock: Clock

    def has_defect(self, name: str) -> bool:
        """Return whether a defect is switched on."""
        ...


class Limits:
    """Refuses what is too much: 429 with ``Retry-After`` and the ``RateLimit`` fields.

    A limit is of a user, never of an address: a campus, an office or a mobile network shares one.
    """

    def __init__(self, host: LimitsHost) -> None:
        self._host = host
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def take(self, request: Request, action: str, user_id: int) -> None:
        """Take the tokens of an action (see :data:`COSTS`), or raise a 429."""
        who = str(user_id)
        if self._host.has_defect("limiter_false_positive"):
            who = _address(request)
        await self._spend("user", _USER, who, cost=COSTS[action])
        if action == "upload":
            await self._spend("uploads", _UPLOADS, "all")

    async def take_sign_up(self) -> None:
        """Count one sign-up, or raise a 429."""
        await self._spend("sign-ups", _SIGN_UPS, "all")

    async def check_password(self, request: Request, handle: str) -> None:
        """Raise a 429 if too many wrong passwords of this account came from this address."""
        key = f"{handle}|{_address(request)}"
        if not await self._limiter.test(_WRONG_PASSWORDS, "passwords", key):
            raise await self._refusal("passwords", _WRONG_PASSWORDS, key)

    async def note_wrong_password(self, request: Request, handle: str) -> None:
        """Count one wrong password."""
        await self._limiter.hit(_WRONG_PASSWORDS, "passwords", f"{handle}|{_address(request)}")

    async def _spend(self, name: str, limit: RateLimitItem, key: str, *, cost: int = 1) -> None:
        # Tested first: a refused request takes nothing, so that a cheaper one may still pass.
        if not await self._limiter.test(limit, name, key, cost=cost):
            raise await self._refusal(name, limit, key)
        await self._limiter.hit(limit, name, key, cost=cost)

    async def _refusal(self, name: str, limit: RateLimitItem, key: str) -> ServiceError:
        stats = await self._limiter.get_window_stats(limit, name, key)
        wait_s = max(math.ceil(stats.reset_time - self._host.clock.wall()), 1)
        headers = {
            "Retry-After": str(wait_s),
            "RateLimit": f'"{name}";r={stats.remaining};t={wait_s}',
            "RateLimit-Policy": f'"{name}";q={limit.amount};w={limit.get_expiry()}',
        }
        return ServiceError(429, "too_many", f"limit {name!r} is used up", headers)


def _address(request: Request) -> str:
    """Return the client's address; the last of the list is what the entry itself saw."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if forwarded:
        return forwarded.rpartition(",")[2].strip()
    return request.client.host if request.client is not None else ""
