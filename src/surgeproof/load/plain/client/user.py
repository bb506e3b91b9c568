"""`SessionUser`: a Locust user with our client, for locustfiles that Locust itself drives."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from locust import User
from locust.exception import StopTest
from locust.user.users import RestMixin

from surgeproof.load.http.origin import tls_context
from surgeproof.load.plain.client.channels import Channels
from surgeproof.load.plain.client.session import Session
from surgeproof.model.plan import Timeouts

__all__ = ["SessionUser"]

# One connection for each user, as with Locust's own clients: the pool is the port range.
_CONNECTIONS = 64_511


class SessionUser(User, RestMixin[Any]):
    """What `HttpUser` is, with a `Session` as its ``client``.

    It needs neither a plan nor arrivals of ours: Locust runs its tasks in their own time.
    """

    abstract = True
    timeouts = Timeouts()
    # One set of connections for all users of an environment, gone with it.
    _channels: ClassVar[weakref.WeakKeyDictionary[Any, Channels]] = weakref.WeakKeyDictionary()

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("no host; accepted: the class's host attribute, or --host")
        channels = self._channels.get(environment)
        if channels is None:
            channels = Channels(_CONNECTIONS, self.timeouts, make_context=lambda: tls_context(None))
            self._channels[environment] = channels
        self.client = Session(self.host, environment.events.request, self, channels)
