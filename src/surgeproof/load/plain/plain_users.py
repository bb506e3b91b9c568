"""The file that Locust loads beside a plain locustfile, to run its users by the plan's arrivals."""

from __future__ import annotations

from locust import events

from surgeproof.load.plain.user import PlainUsers, take_over

__all__ = ["ScheduledUsers"]


class ScheduledUsers(PlainUsers):
    """The user class that Locust sees."""


# Importing is running here: this is a locustfile, and Locust imports it for nothing else.
events.init.add_listener(take_over)  # type: ignore[no-untyped-call] # Locust's
