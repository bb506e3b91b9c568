"""Sending and receiving this package's messages by a Locust runner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from surgeproof.errors import FormatError
from surgeproof.load.fleet.messages import Message, read_message, to_data

__all__ = ["Post"]

_LOG = logging.getLogger("surgeproof.load")

Kind = TypeVar("Kind", bound=Message)


class Post:
    """A master's or a worker's runner as a post office.

    Handlers run in the greenlet that receives, one after another: none may wait for a message.
    There is one post office for a runner, for Locust takes each kind of message once.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._handlers: dict[str, Callable[[str, Any, float], None]] = {}

    def on(self, kind: type[Kind], handle: Callable[[str, Kind, float], None]) -> None:
        """Call ``handle(sender, message, received)`` for each message of a kind from now on.

        It takes the place of the handler before. ``received`` is CLOCK_MONOTONIC. A message that
        cannot be read is logged and let go.
        """
        is_known = kind.kind in self._handlers
        self._handlers[kind.kind] = handle
        if is_known:
            return

        def listen(environment: Any, msg: Any) -> None:
            del environment
            received = time.monotonic()
            try:
                message = read_message(kind, msg.data)
            except FormatError as error:
                _LOG.error("from %s: %s", msg.node_id, error)
                return
            self._handlers[kind.kind](str(msg.node_id), message, received)

        self._runner.register_message(kind.kind, listen)

    def send(self, message: Message, to: str | None = None) -> None:
        """Send a message: to worker ``to`` from a master, to the master from a worker.

        It is handed to the connection, and may be lost with it; nobody is told.
        """
        self._runner.send_message(message.kind, to_data(message), client_id=to)

    def send_statistics(self) -> None:
        """Report a worker's statistics now, and not with Locust's next report in up to 3 s."""
        self._runner._send_stats()  # noqa: SLF001 - Locust's own last act before it quits
