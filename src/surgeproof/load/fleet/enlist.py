"""Where a Locust process finds out that it is one of several."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from locust import events
from locust.runners import MasterRunner, WorkerRunner

from surgeproof.load.fleet.master import FleetMaster, Task
from surgeproof.load.fleet.place import here
from surgeproof.load.fleet.post import Post
from surgeproof.load.fleet.station import WorkerStation

__all__ = ["Enlistment", "enlist"]


class Enlistment:
    """What a process is to a fleet, known from Locust's start on."""

    def __init__(self, find_task: Callable[[str | None], Task]) -> None:
        self._find_task = find_task
        self._post: Post | None = None

    def begin(self, environment: Any, runner: Any, **_: object) -> None:
        """Take up the post that Locust has chosen for this process."""
        if isinstance(runner, MasterRunner):
            FleetMaster(environment, lambda: self._find_task(environment.host)).register()
        elif isinstance(runner, WorkerRunner):
            self._post = Post(runner)

    def station(self) -> WorkerStation | None:
        """Return the station of a run that begins, None for a process that is no worker."""
        if self._post is None:
            return None
        return WorkerStation(self._post, here(socket.gethostname()))


def enlist(find_task: Callable[[str | None], Task]) -> Enlistment:
    """Make this process part of a fleet if Locust will run it as a master or a worker.

    ``find_task`` is given Locust's host when a test starts. A master makes no user, so there is no
    other moment at which a user class could take the lead.
    """
    enlistment = Enlistment(find_task)
    events.init.add_listener(enlistment.begin)  # type: ignore[no-untyped-call]  # Locust's
    return enlistment
