"""What the plan gives every instance of a plain user class: target, headers, trust, a client."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from locust import User
from locust.env import Environment

from surgeproof.load.handover import LoadOrder
from surgeproof.load.http.origin import tls_context
from surgeproof.load.plain.client import Channels, Session

__all__ = ["Equipment"]


class Equipment:
    """Makes instances of plain user classes that talk to the order's target.

    Classes get the target as their ``host``, as from Locust's own ``--host``. The plan's headers
    go with every request, its CA bundle decides whom to trust. With ``load.client: surgeproof``
    each instance's ``client`` is a `Session` instead of Locust's.
    """

    def __init__(
        self,
        order: LoadOrder,
        headers: Mapping[str, str],
        environment: Environment,
    ) -> None:
        self._order, self._headers, self._environment = order, headers, environment
        self._channels: Channels | None = None
        if order.load.client == "surgeproof":
            self._channels = Channels(order.connections, order.timeouts, make_context=self._trust)

    @property
    def queued(self) -> int:
        """How many requests wait for a connection of ours; Locust's clients never wait for one."""
        return 0 if self._channels is None else self._channels.queued

    @property
    def waited(self) -> int:
        """How many requests have had to wait for one so far."""
        return 0 if self._channels is None else self._channels.waited

    def prepare(self, user_class: Any) -> None:
        """Set on a class what its instances read when they are made.

        Raises:
            EnvironmentNotReadyError: the CA bundle cannot be used.
        """
        user_class.host = self._order.base_url
        if self._order.ca_bundle is not None and hasattr(user_class, "ssl_context_factory"):
            context = self._trust()
            # FastHttpUser trusts everybody unless told otherwise; the plan says whom to trust.
            user_class.insecure = False
            user_class.ssl_context_factory = staticmethod(lambda: context)

    def make(self, user_class: type[User]) -> User:
        """Return a new instance; its ``on_start`` has not run."""
        user = user_class(self._environment)
        client: Any = getattr(user, "client", None)
        # Only what speaks HTTP as Locust does: a client of another kind stays as it is.
        if not hasattr(client, "request") or not hasattr(client, "rename_request"):
            return user
        if self._channels is not None:
            user.client = Session(  # type: ignore[attr-defined] # of the classes that have one
                self._order.base_url,
                self._environment.events.request,
                user,
                self._channels,
                headers={**self._headers, **(getattr(user, "default_headers", None) or {})},
            )
        elif hasattr(client, "cookiejar"):  # FastHttpSession keeps its headers one level down
            client.client.default_headers.update(self._headers)
        else:
            client.headers.update(self._headers)
            if self._order.ca_bundle is not None:
                client.verify = str(self._order.ca_bundle)
        return user

    def close(self) -> None:
        """Close the connections of our own client."""
        if self._channels is not None:
            self._channels.close()

    def _trust(self) -> ssl.SSLContext:
        return tls_context(self._order.ca_bundle)
